"""RecBole's sequential models through the bridge: its rows, its scores, its losses, distilled to and from."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import recsys
from recsys import bridge
from recsys.data import SequenceBatches
from recsys.evaluate import next_item_ranking
from recsys.models import SASRec
from recsys.models.recbole_sequential import TESTED
from recsys.tasks import Sequential

pytest.importorskip("recbole")

WIDTHS = {
    "SASRec": {"hidden_size": 8, "inner_size": 8},
    "GRU4Rec": {"embedding_size": 8, "hidden_size": 8},
    "BERT4Rec": {"hidden_size": 8, "inner_size": 8},
    "Caser": {"embedding_size": 8, "nv": 2, "nh": 2},
    "STAMP": {"embedding_size": 8},
    "NARM": {"embedding_size": 8, "hidden_size": 8},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A log of 40 users and 25 items with repeats, equal times, and users of one to three events."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(40):
        times = random.integers(5, size=1 + user % 9)  # RecBole's own are of float32
        lines += [f"u{user}\ti{random.integers(25)}\t{time}" for time in times]
    (folder / "log").mkdir()
    (folder / "log" / "log.inter").write_text("\n".join([lines[0], *random.permutation(lines[1:])]) + "\n")
    options = {"data_path": str(folder), "MAX_ITEM_LIST_LENGTH": 5, "metrics": ["NDCG"], "topk": [5]}
    return bridge.load("log", model="SASRec", options={**options, "valid_metric": "NDCG@5"})


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-2)


def rows_of_recbole(data):
    """Rows of all parts as RecBole's own SequentialDataset makes them."""
    from recbole.data.dataset import SequentialDataset

    from recsys._repairs import repaired

    with repaired(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = SequentialDataset(data.config).build()
    names = ("user_id", "item_id_list", "item_length", "item_id")
    return [[part.inter_feat[name] for name in names] for part in parts]


def sorted_rows(*columns):
    """Rows as tuples: how RecBole orders users is no matter."""
    return sorted(zip(*(torch.as_tensor(column).tolist() for column in columns), strict=True))


def test_rows_are_those_of_recboles_own_dataset(data):
    split = data.sequences
    for ours, theirs in zip((split.train, split.valid, split.test), rows_of_recbole(data), strict=True):
        sequences, lengths, owners = ours.histories()
        assert sorted_rows(owners, sequences, lengths, ours.targets) == sorted_rows(*theirs)
    assert split.sequences.item_tokens[0] == "[PAD]"
    assert len(data.split.test) == len(split.test)


@pytest.mark.parametrize("name", TESTED)
def test_scores_and_losses_are_the_models_own(data, name):
    torch.manual_seed(0)
    model = bridge.recommender(data, name, WIDTHS[name]).eval()
    batch = next(iter(SequenceBatches(data.sequences.train, by="rows", batch_size=16)))
    rows = model._interaction(batch)
    with torch.no_grad():
        wanted = model.model.full_sort_predict(rows).view(16, -1)
        state, item = model.tables_of(batch)
        torch.testing.assert_close(state @ item.t(), wanted)
        torch.manual_seed(1)
        loss = model.own_loss(batch)
        if name != "BERT4Rec":  # whose masks are drawn
            torch.testing.assert_close(loss, model.model.calculate_loss(rows))
        torch.manual_seed(1)
        torch.testing.assert_close(model.own_loss(batch, summed=True), 16 * loss)


def test_full_ranking_is_recboles_own_counting(data):
    """Nothing but padding is left out, as by RecBole's trainer: every row is a user."""
    torch.manual_seed(0)
    model = bridge.recommender(data, "GRU4Rec", WIDTHS["GRU4Rec"]).eval()
    rows = data.sequences.test
    with torch.no_grad():
        scores = model(*rows.histories())
    scores[:, 0] = -torch.inf
    place = (scores > scores.gather(1, rows.targets[:, None])).sum(dim=1)
    found = next_item_ranking(model, rows, ("hit@5", "mrr@5"))
    assert found["hit@5"] == pytest.approx(float((place < 5).double().mean()))
    assert found["mrr@5"] == pytest.approx(float(((place < 5) / (place + 1)).double().mean()))


@pytest.mark.slow
@pytest.mark.parametrize("name", TESTED)
@pytest.mark.parametrize("method", ["none", "kd", "rrd", "de"])
def test_models_learn_by_their_own_loss_beside_what_a_teacher_says(data, name, method):
    split = data.sequences
    torch.manual_seed(0)
    teacher = SASRec(split.num_items, 12, max_length=5).eval()
    student = bridge.recommender(data, name, WIDTHS[name])
    settings = {"rrd": {"k": 3, "l": 5}, "de": {"experts": 3}}.get(method, {})
    given = None if method == "none" else teacher
    result = recsys.distil(method, student, given, data, epochs=6, optimizer=adam, progress=False, **settings)
    assert list(result.scores["test"]) == ["ndcg@5"]  # what the options ask for
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert "recbole" in " ".join(result.history[0])  # the name of the loss term


@pytest.mark.parametrize("name", ["SASRec", "BERT4Rec", "Caser"])
def test_a_recbole_teacher_teaches_a_causal_student_at_every_position(data, name):
    torch.manual_seed(0)
    teacher = bridge.recommender(data, name, WIDTHS[name]).eval()
    student = SASRec(data.sequences.num_items, 4, max_length=5, layers=1, heads=1)
    options = {"epochs": 6, "optimizer": adam, "progress": False, "task": Sequential(batch_size=16)}
    result = recsys.distil("kd", student, teacher, data, **options)
    assert result.history[-1]["loss"] < result.history[0]["loss"]


def test_a_broken_off_epoch_of_bert4rec_draws_the_same_masks(data):
    model = bridge.recommender(data, "BERT4Rec", WIDTHS["BERT4Rec"]).eval()
    batch = next(iter(SequenceBatches(data.sequences.train, by="rows", batch_size=16)))
    losses = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        losses.append(model.own_loss(batch).item())
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    ("run", "error", "words"),
    [
        (lambda data: bridge.recommender(data, "FPMC"), TypeError, "FPMC cannot be taken as a state after a history"),
        (lambda data: bridge.recommender(data, "BPR"), TypeError, "must be a sequential recommender"),
        (
            lambda data: recsys.distil(
                "none", bridge.recommender(data, "STAMP"), None, data, task=Sequential(by="positions"), epochs=1
            ),
            ValueError,
            "leave out 'by', or say by='rows'",
        ),
        (
            lambda _: bridge.load("ml-100k", "SASRec", options={"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}}}),
            ValueError,
            "'eval_args' of a sequential model must be",
        ),
        (
            lambda _: bridge.load("ml-100k", "SASRec", options={"eval_args": {"mode": "uni100"}}),
            ValueError,
            "'mode' of a sequential model must be 'full'",
        ),
        (
            lambda data: bridge.recommender(bridge.load("ml-100k"), "SASRec"),
            TypeError,
            "load its data by recsys.bridge.load",
        ),
    ],
)
def test_what_is_not_done_is_refused_by_name(data, run, error, words):
    with pytest.raises(error, match=words):
        run(data)


def test_caser_needs_to_know_whose_a_history_is(data):
    model = bridge.recommender(data, "Caser", WIDTHS["Caser"])
    with pytest.raises(ValueError, match="give 'owners'"):
        model.last(torch.ones(1, 5, dtype=torch.long), torch.tensor([5]))


@pytest.mark.parametrize(
    ("model", "words"), [("CORE", "CORE reads 'item_id_list' of the data"), ("FDSA", "FDSA reads 'class' of the data")]
)
def test_a_model_that_reads_what_the_data_have_not_is_refused_by_name(data, model, words):
    with pytest.raises(ValueError, match=words):
        bridge.recommender(data, model)


def test_a_model_that_recbole_evaluates_on_labels_alone_is_refused():
    with pytest.raises(ValueError, match="DIN cannot be taken here, RecBole says of it"):
        bridge.load("ml-100k", "DIN")


def test_a_loss_that_reads_what_the_data_have_not_is_refused_by_name(data):
    model = bridge.recommender(data, "SASRec", WIDTHS["SASRec"])
    batch = next(iter(SequenceBatches(data.sequences.train, by="rows", batch_size=4)))
    model.model.calculate_loss = lambda rows: rows["class"]
    with pytest.raises(ValueError, match="the loss of SASRec reads 'class' of a row or of the data"):
        model.own_loss(batch)
