"""RecBole's models of knowledge graphs: loaded, trained by their own loss, and taken as teachers."""

from __future__ import annotations

import sys

import pytest
import torch

import recsys
from graphkd import Distiller
from recsys import bridge
from recsys.data.batches import RankingBatches
from recsys.losses import BPR, RecBoleLoss
from recsys.models import MF, show
from recsys.models.knowledge import Triples
from recsys.tasks import base_loss
from tests.recsys.laws import assert_law

pytestmark = [pytest.mark.usefixtures("recbole"), pytest.mark.filterwarnings("ignore::UserWarning")]
KINDS = {
    "CKE": {"embedding_size": 4, "kg_embedding_size": 4},
    "KGAT": {"embedding_size": 4, "kg_embedding_size": 4, "layers": [4]},
    "CFKG": {"embedding_size": 4},
    "KTUP": {"embedding_size": 4, "train_rec_step": 1, "train_kg_step": 1},
    "KGCN": {"embedding_size": 4, "neighbor_sample_size": 2},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "d").mkdir()
    rows = "".join(f"u{u}\ti{(u * 5 + k * k) % 20}\n" for u in range(15) for k in range(8))
    facts = "".join(f"e{i}\tr{i % 3}\te{20 + (i * k) % 7}\n" for i in range(20) for k in (1, 2))
    links = "".join(f"i{i}\te{i}\n" for i in range(1, 20))  # an item has no entity
    for end, head, text in (
        ("inter", "user_id:token\titem_id:token", rows),
        ("kg", "head_id:token\trelation_id:token\ttail_id:token", facts),
        ("link", "item_id:token\tentity_id:token", links),
    ):
        (folder / "d" / f"d.{end}").write_text(f"{head}\n{text}")
    return folder


@pytest.fixture(scope="module")
def data(folder):
    return bridge.load("d", "CKE", options={"data_path": str(folder), "epochs": 2, "train_batch_size": 32})


def built(data, name):
    torch.manual_seed(0)
    return bridge.recommender(data, name, KINDS.get(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_learns_by_its_own_loss_and_teaches(data, name):
    start = built(data, name)
    result = recsys.distil("none", start, None, data, progress=False)
    assert len(result.history) == 2
    moved = [
        name for name, weight in result.model.state_dict().items() if not torch.equal(weight, start.state_dict()[name])
    ]
    assert moved
    assert "dgl" not in sys.modules
    student = MF(data.split.train.num_users, data.split.train.num_items, 2)
    taught = recsys.distil("rrd", student, result.model, data, progress=False, k=2, l=2)
    assert set(taught.scores["test"]) == {"ndcg@10", "recall@10"}


def test_items_without_an_entity_are_left_out_as_in_recbole(data):
    assert "i0" not in data.split.item_tokens
    assert set(data.split.item_tokens[1:]) <= {f"i{i}" for i in range(1, 20)}
    assert data.split.train.num_items == len(data.split.item_tokens)


@pytest.mark.slow
def test_a_general_model_is_a_student_beside_them(data):
    student = bridge.recommender(data, "BPR", {"embedding_size": 2})
    result = recsys.distil("cd", student, built(data, "CKE"), data, progress=False)
    assert result.model.tables()[0].shape == (16, 2)


@pytest.mark.parametrize("name", ["CKE", "CFKG", "KTUP", "KGAT"])
def test_the_loss_is_recboles_on_the_same_rows(data, name):
    from recbole.data.interaction import Interaction

    model = built(data, name).eval()
    torch.manual_seed(1)
    batch = next(iter(RankingBatches(data.split.train, batch_size=20)))
    inner, rows = (
        model.model,
        {"user_id": batch["users"], "item_id": batch["positives"], "neg_item_id": batch["negatives"]},
    )

    def theirs(*losses):
        torch.manual_seed(2)
        facts = inner.triples.draw(20, "cpu")
        found = [getattr(inner, loss)(Interaction({**rows, **facts})) for loss in losses]
        return sum(part.sum() for each in found for part in (each if isinstance(each, tuple) else (each,)))

    def ours(epoch):
        torch.manual_seed(2)
        return model.own_loss(batch, epoch=epoch)

    both = ("calculate_loss", "calculate_kg_loss") if name == "KGAT" else ("calculate_loss",)
    torch.testing.assert_close(ours(0), theirs(*both))
    if name == "KTUP":
        torch.testing.assert_close(ours(1), theirs("calculate_kg_loss"))


def test_attention_is_renewed_before_an_epoch(data):
    model = built(data, "KGAT")
    batch = next(iter(RankingBatches(data.split.train, batch_size=20)))
    first = model.model.A_in
    model.own_loss(batch, epoch=0)
    assert model.model.A_in is first
    model.own_loss(batch, epoch=1)
    second = model.model.A_in
    assert second is not first
    model.own_loss(batch, epoch=1)
    assert model.model.A_in is second


def test_tails_are_drawn_outside_the_facts():
    heads, relations, tails = torch.tensor([1, 1, 2]), torch.tensor([1, 2, 1]), torch.tensor([3, 4, 5])
    triples = Triples(heads, relations, tails, 6, ("h", "r", "t", "n"))
    torch.manual_seed(0)
    drawn = triples.draw(9000, "cpu")
    assert_law(torch.bincount(drawn["h"] * 10 + drawn["t"], minlength=30)[[13, 14, 25]], [1, 1, 1])
    assert_law(torch.bincount(drawn["n"][drawn["h"] == 1], minlength=6), [0, 1, 1, 0, 0, 1])
    assert_law(torch.bincount(drawn["n"][drawn["h"] == 2], minlength=6), [0, 1, 1, 1, 1, 0])


class TestRefused:
    def test_data_without_a_graph(self, folder):
        plain = bridge.load("d", options={"data_path": str(folder)})
        with pytest.raises(TypeError, match=r"got CKE of type KNOWLEDGE: load its data by recsys.bridge.load"):
            bridge.recommender(plain, "CKE")

    @pytest.mark.parametrize(
        ("end", "what"), [("kg", "triples of the knowledge graph"), ("link", "the entities of items")]
    )
    def test_missing_files(self, folder, tmp_path, end, what):
        (tmp_path / "d").mkdir()
        for file in (folder / "d").iterdir():
            if file.suffix != f".{end}":
                (tmp_path / "d" / file.name).write_text(file.read_text())
        with pytest.raises(FileNotFoundError, match=rf"'d' must have {what} at .*d.{end}'; there is no such file"):
            bridge.load("d", "CKE", options={"data_path": str(tmp_path)})

    def test_broken_rows(self, folder, tmp_path):
        (tmp_path / "d").mkdir()
        for file in (folder / "d").iterdir():
            (tmp_path / "d" / file.name).write_text(file.read_text() + ("e1\tr1\n" if file.suffix == ".kg" else ""))
        with pytest.raises(ValueError, match=r"d.kg' must have 3 columns in every row, 1 rows have not: at lines 42"):
            bridge.load("d", "CKE", options={"data_path": str(tmp_path)})

    def test_mkr_has_no_loss_of_its_own_here(self, data):
        model = bridge.recommender(data, "MKR", {"embedding_size": 4, "kg_embedding_size": 4})
        batch = next(iter(RankingBatches(data.split.train, batch_size=20)))
        with pytest.raises(ValueError, match="RecBole's trainer of MKR goes through its knowledge graph in passes"):
            Distiller(model, None, RecBoleLoss(), call=show)(batch)
        assert [type(part) for _, part in base_loss(model).parts()] == [BPR]
