"""Batches of histories: every row once, negatives that are no targets, lists by places in the batch."""

from __future__ import annotations

import pytest
import torch

from recsys.data import SequenceBatches
from recsys.data.lists import Lists
from tests.recsys.toy_sequences import chain_split

SPLIT = chain_split()


class Named:
    """A source whose list of a row holds the row's own number."""

    def resample(self):
        self.drawn = True

    def lists(self, batch):
        self.asked = batch
        users = batch["unique_users"]
        return {"own": Lists(users, users[:, None].repeat(1, 2)), "beside": Lists(users, users[:, None]), "fact": users}


@pytest.mark.parametrize("by", ["positions", "rows"])
def test_an_epoch_has_every_row_once(by):
    torch.manual_seed(0)
    batches = SequenceBatches(SPLIT.train, by=by, batch_size=16)
    found = list(batches)
    assert len(found) == len(batches)
    rows = torch.cat([batch["rows"] for batch in found])
    assert rows.sort().values.tolist() == list(range(1, len(SPLIT.train) + 1))
    assert rows.tolist() != sorted(rows.tolist())
    for batch in found:
        assert torch.equal(batch["targets"], SPLIT.train.targets[batch["rows"] - 1])
        assert batch["users"].tolist() == list(range(len(batch["rows"])))
        assert (batch["negatives"] != batch["targets"]).all()
        assert int(batch["negatives"].min()) >= 1
        assert int(batch["negatives"].max()) < SPLIT.num_items
        assert "candidates" not in batch


def test_by_positions_a_rows_place_holds_the_end_of_its_history():
    (batch,) = SequenceBatches(SPLIT.train, batch_size=1000)
    last = batch["sequences"].flatten()[batch["at"]]
    assert torch.equal(last, SPLIT.sequences.items[SPLIT.train.places[batch["rows"] - 1] - 1])


def test_negatives_are_uniform_over_all_other_items():
    torch.manual_seed(0)
    counts = torch.zeros(SPLIT.num_items)
    for _ in range(300):
        for batch in SequenceBatches(SPLIT.train, batch_size=1000):
            first = batch["targets"] == SPLIT.train.targets[0]
            counts += torch.bincount(batch["negatives"][first], minlength=SPLIT.num_items)
    target = int(SPLIT.train.targets[0])
    others = counts[[item for item in range(1, SPLIT.num_items) if item != target]]
    assert counts[0] == counts[target] == 0
    expected = others.mean()
    assert float(((others - expected) ** 2 / expected).sum()) < 38 + 4 * (2 * 38) ** 0.5  # chi-square, 38 degrees


def test_shared_candidates_are_one_draw_for_the_batch():
    for batch in SequenceBatches(SPLIT.train, batch_size=16, shared=7):
        assert batch["candidates"].shape == (7,)
        assert int(batch["candidates"].min()) >= 1


def test_lists_of_sources_are_of_places_in_the_batch():
    source = Named()
    for batch in SequenceBatches(SPLIT.train, batch_size=16, sources={"named": source}):
        assert torch.equal(batch["rows"][batch["own"].users], batch["own"].items[:, 0])
        assert batch["own"].users is batch["beside"].users  # a view scores lists of the same rows together
        assert torch.equal(source.asked["users"], batch["rows"])
        assert torch.equal(source.asked["positives"], batch["targets"])


def test_a_list_of_a_name_that_is_taken_is_refused():
    class Taken(Named):
        def lists(self, batch):
            return {"targets": batch["users"]}

    with pytest.raises(ValueError, match=r"source 'bad' gives \['targets'\]"):
        next(iter(SequenceBatches(SPLIT.train, sources={"bad": Taken()})))


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"shared": 0}, {"by": "users"}])
def test_what_is_wrong_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        SequenceBatches(SPLIT.train, **wrong)


def test_the_same_seed_gives_the_same_epoch():
    def epoch():
        torch.manual_seed(3)
        return list(SequenceBatches(SPLIT.train, batch_size=16, shared=5))

    for one, other in zip(epoch(), epoch(), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
