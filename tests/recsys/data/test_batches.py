"""Batches: every pair as often as it was taken, negatives outside, lists from sources, runs that resume."""

from __future__ import annotations

import pytest
import torch

from graphkd import Distiller, Frozen, fit
from recsys import Interactions
from recsys.data.batches import RankingBatches
from recsys.losses import BPR, CD, DCD, RRD
from recsys.models import MF, Lists, show, tables_of
from recsys.models.rankings import top_items
from recsys.sources import CDLists, DCDLists, RRDLists, TopLists
from tests.recsys.laws import as_sets, assert_law, toy


def test_an_epoch_is_all_pairs():
    torch.manual_seed(0)
    pairs, epochs = toy(), []
    batches = RankingBatches(pairs, batch_size=32)
    for _ in range(2):
        found = list(batches)
        assert len(found) == len(batches)
        assert {len(batch["users"]) for batch in found[:-1]} == {32}
        users, positives, negatives = (
            torch.cat([batch[name] for batch in found]) for name in ("users", "positives", "negatives")
        )
        rows = sorted(zip(users.tolist(), positives.tolist(), strict=True))
        assert rows == list(zip(*(each.tolist() for each in pairs.events()), strict=True))
        assert not pairs.contains(users, negatives).any()
        epochs.append((users, negatives))
    assert not torch.equal(epochs[0][0], epochs[1][0])
    assert not torch.equal(epochs[0][1], epochs[1][1])


def test_negatives_are_uniform():
    torch.manual_seed(0)
    pairs = Interactions.from_pairs(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), 2, 5)
    batches = RankingBatches(pairs)
    drawn = [next(iter(batches)) for _ in range(3000)]
    users, negatives = (torch.cat([batch[name] for batch in drawn]) for name in ("users", "negatives"))
    assert_law(torch.bincount(negatives[users == 0], minlength=5), [0, 0, 1, 1, 1])
    assert_law(torch.bincount(negatives[users == 1], minlength=5), [1, 0, 1, 1, 1])


def test_entries_of_a_batch():
    torch.manual_seed(0)
    pairs = toy(padding=True)
    table = torch.arange(30)[:, None] + torch.arange(3, dtype=torch.int32)
    batch = next(iter(RankingBatches(pairs, batch_size=64, sources={"mine": TopLists({"top": table})})))
    assert batch["unique_users"].tolist() == sorted(set(batch["users"].tolist()))
    assert torch.equal(batch["positive"].items, batch["positives"][:, None])
    assert torch.equal(batch["negative"].users, batch["users"])
    assert isinstance(batch["top"], Lists)
    assert torch.equal(batch["top"].items, batch["unique_users"][:, None] + torch.arange(3))
    assert batch["negatives"].min() >= 1
    assert all(0 not in items for items in as_sets(pairs))


def test_two_sources_of_one_name():
    table = torch.zeros(30, 2, dtype=torch.int32)
    batches = RankingBatches(toy(), sources={"a": TopLists({"top": table}), "b": TopLists({"top": table})})
    with pytest.raises(ValueError, match=r"source 'b' gives \['top'\], which the batch already has"):
        next(iter(batches))


def test_bad_arguments():
    with pytest.raises(ValueError, match="'batch_size' must be at least 1, got 0"):
        RankingBatches(toy(), batch_size=0)
    nothing = torch.zeros(0, dtype=torch.long)
    with pytest.raises(ValueError, match="'interactions' must hold at least one pair"):
        RankingBatches(Interactions.from_pairs(nothing, nothing, 2, 2))


class Told:
    def __init__(self):
        self.epochs, self.drawn = [], 0

    def set_epoch(self, epoch, epochs):
        self.epochs.append((epoch, epochs))

    def resample(self):
        self.drawn += 1

    def lists(self, batch):
        return {"fact": torch.tensor(self.drawn)}

    def state_dict(self):
        return {"drawn": self.drawn}

    def load_state_dict(self, state):
        self.drawn = state["drawn"]


def test_sources_are_told_and_keep_their_state():
    batches = RankingBatches(toy(), sources={"told": Told(), "top": TopLists({})})
    fit(Distiller(MF(30, 40, 2), None, BPR(), call=show), batches, epochs=2, progress=False)
    told = batches.sources["told"]
    assert told.epochs == [(0, 2), (1, 2)]
    assert told.drawn == 2
    assert batches.state_dict() == {"told": {"drawn": 2}}
    batches.load_state_dict({"told": {"drawn": 9}})
    assert told.drawn == 9
    with pytest.raises(ValueError, match=r"'sources' must have 'other', as the run that is resumed, got \['told'"):
        batches.load_state_dict({"other": {}})


MAKERS = {
    "rrd": (RRD(), lambda student, top, pairs: RRDLists(top, pairs, k=3, l=4, scale=2.0)),
    "dcd": (DCD(), lambda student, top, pairs: DCDLists(student, top, k=3, every=4)),
    "cd": (CD(), lambda student, top, pairs: CDLists(student, pairs, k=3, length=9, rerank=4)),
}


@pytest.mark.parametrize("method", MAKERS)
def test_an_interrupted_run_resumes_to_the_same_numbers(method, tmp_path):
    """Also where a ranking of the student is kept for several epochs: it is in the checkpoint."""
    pairs = toy(pairs=300)
    torch.manual_seed(0)
    teacher = MF(30, 40, 6, std=1.0)
    start = MF(30, 40, 2).state_dict()

    def run(epochs, folder, resume=False):
        student = MF(30, 40, 2)
        student.load_state_dict(start)
        loss, make = MAKERS[method]
        source = make(student, top_items(teacher, pairs, 8), pairs)
        task = Distiller(student, Frozen(tables_of(teacher), call=show), BPR() + 0.1 * loss, call=show)
        batches = RankingBatches(pairs, batch_size=64, sources={method: source})
        fit(task, batches, epochs=epochs, checkpoint=tmp_path / folder, resume=resume, progress=False)
        return student.tables()

    whole = run(4, "whole")
    run(2, "parts")
    resumed = run(4, "parts", resume=True)
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))
    torch.load(tmp_path / "parts" / "last.pt", weights_only=True)
