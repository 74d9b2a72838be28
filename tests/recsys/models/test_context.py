"""RecBole's context-aware models as students and teachers, on rows of features."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from graphkd import Distiller, fit
from graphkd.core.cached import Cached
from recsys import bridge
from recsys.data.rows import Field, RowBatches, Rows
from recsys.losses import ClickHint, Clicks, Rocket, SoftClicks
from recsys.models import context
from recsys.models.clicks import ClickNet, RocketNet, Several, show

pytestmark = pytest.mark.usefixtures("recbole")
MODELS = ["FM", "DeepFM", "DCN", "WideDeep"]
SMALL = {"embedding_size": 4}


@pytest.fixture(scope="module")
def data(recbole, tmp_path_factory):
    """Forty users, twenty items, with features of both, one user without an age."""
    folder = tmp_path_factory.mktemp("recbole") / "mine"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randperm(800, generator=generator)[:400].tolist()
    lines = [f"u{n // 20}\ti{n % 20}\t{1 + (n // 20 + n % 20) % 5}\t{n}" for n in pairs]
    users = [f"u{u}\t{'' if u == 3 else 20 + u % 4}" for u in range(40)]
    items = [f"i{i}\t{' '.join(['new', 'old', 'odd'][: 1 + i % 3])}" for i in range(20)]
    files = {
        "inter": ["user_id:token\titem_id:token\trating:float\ttimestamp:float", *lines],
        "user": ["user_id:token\tage:token", *users],
        "item": ["item_id:token\tclass:token_seq", *items],
    }
    for end, rows in files.items():
        (folder / f"mine.{end}").write_text("\n".join(rows))
    load_col = {"inter": ["user_id", "item_id", "rating"], "user": ["user_id", "age"], "item": ["item_id", "class"]}
    found = context.load("mine", options={"data_path": str(folder.parent), "load_col": load_col})
    rows = found.rows
    columns = {**rows.columns, "y": (rows.columns["rating"] >= 4).float()}
    return found._replace(rows=Rows(columns, rows.fields, rows.train, rows.valid, rows.test))


def test_rows(data):
    rows = data.rows
    assert (len(rows.train), len(rows.valid), len(rows.test)) == (320, 40, 40)
    assert rows.fields == {
        "user_id": Field(41),
        "item_id": Field(21),
        "age": Field(5),
        "class": Field(4, sequence=True),
    }
    dataset = data.recbole.dataset
    tokens = {name: dataset.field2id_token[name] for name in rows.fields}
    for n in (0, 100, 399):
        user, item = (tokens[f"{side}_id"][int(rows.columns[f"{side}_id"][n])] for side in ("user", "item"))
        u, i = int(user[1:]), int(item[1:])
        assert float(rows.columns["rating"][n]) == 1 + (u + i) % 5  # neither normalised nor made a label
        age = tokens["age"][int(rows.columns["age"][n])]
        assert age == ("[PAD]" if u == 3 else str(20 + u % 4))
        words = [tokens["class"][k] for k in rows.columns["class"][n].tolist() if k]
        assert sorted(words) == sorted(["new", "old", "odd"][: 1 + i % 3])


def test_the_split_is_bridges(data):
    split, rows = data.recbole.split, data.rows
    for part, ids in ((split.train, rows.train), (split.valid, rows.valid), (split.test, rows.test)):
        assert bool(part.contains(rows.columns["user_id"][ids], rows.columns["item_id"][ids]).all())
        assert len(part) == len(ids)


@pytest.mark.parametrize("name", MODELS)
def test_models_show_the_logits_behind_recboles_probabilities(data, name):
    torch.manual_seed(0)
    model = context.context_model(data, name, SMALL).eval()
    batch = data.rows.take(torch.arange(6))
    view = model(batch)
    assert view["logits"].shape == (6,)
    torch.testing.assert_close(view["logits"].sigmoid(), model.model.predict(batch))
    changed = {**batch, "rating": batch["rating"] + 9, "y": 1 - batch["y"]}
    torch.testing.assert_close(model(changed)["logits"], view["logits"])  # neither rating nor click is a feature


@pytest.mark.parametrize("name", MODELS)
def test_every_model_teaches_and_learns(data, name):
    torch.manual_seed(0)
    rows = data.rows
    teachers = [context.context_model(data, each, SMALL) for each in (name, "DeepFM")]
    student = context.context_model(data, name, {"embedding_size": 2})
    kept = [p.clone() for p in teachers[0].parameters()]
    losses = Clicks() + SoftClicks(teachers=2)
    task = Distiller(student, Cached(Several(teachers), rows.take(), call=show), losses, call=show)
    reports = []
    adam = partial(torch.optim.Adam, lr=0.02)
    fit(task, RowBatches(rows, rows.train, batch_size=64), epochs=6, optimizer=adam, log=reports.append, progress=False)
    assert reports[-1]["clicks"] < reports[0]["clicks"]
    assert all(torch.equal(*both) for both in zip(kept, teachers[0].parameters(), strict=True))
    assert not any("teacher" in key for key in student.state_dict())


def test_a_hint_between_a_click_net_and_a_recbole_model(data):
    torch.manual_seed(0)
    rows = data.rows
    teacher = context.context_model(data, "DeepFM", {**SMALL, "mlp_hidden_size": [8, 6]})
    losses = {"clicks": Clicks(), "hint": ClickHint(5, 6)}
    taps = {"hidden": ("layers", "model.mlp_layers")}
    cached = Cached(teacher, rows.take(), call=show)
    task = Distiller(ClickNet(rows.fields, 3, [5]), cached, losses, taps=taps, call=show)
    step = task(rows.take(rows.train[:20]))
    step.loss.backward()
    assert step.terms["hint"] > 0
    assert task.student.layers[0].weight.grad.abs().max() > 0


def test_recbole_models_share_their_embeddings(data):
    torch.manual_seed(0)
    light = context.context_model(data, "FM", SMALL)
    booster = context.context_model(data, "DeepFM", SMALL)
    paths = ["model.token_embedding_table", "model.token_seq_embedding_table"]
    pair = RocketNet(light, booster, paths)
    before = light.model.token_embedding_table.embedding.weight.clone()
    task = Distiller(pair, None, Rocket(), call=show)
    fit(task, RowBatches(data.rows, data.rows.train, batch_size=64), epochs=1, progress=False)
    assert booster.model.token_embedding_table is light.model.token_embedding_table
    assert not torch.equal(before, light.model.token_embedding_table.embedding.weight)


def test_models_of_another_kind_are_refused(data):
    with pytest.raises(TypeError, match=r"'model' must be a context-aware recommender, .* got BPR of type GENERAL"):
        context.context_model(data, "BPR")
    with pytest.raises(TypeError, match=r"'model' must be a general recommender, .* got DeepFM of type CONTEXT"):
        bridge.recommender(data.recbole, "DeepFM")
