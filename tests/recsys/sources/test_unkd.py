"""UnKD's groups, their top lists, and the pairs drawn in them."""

from __future__ import annotations

import pytest
import torch

from recsys.models import MF
from recsys.sources import UnKDLists
from recsys.sources.unkd import pairs_per_group, popularity_groups, top_per_group
from tests.recsys.laws import as_sets, golden, toy
from tests.recsys.models.test_rankings import sorted_items
from tests.recsys.sources.drawing import batch_of


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MF(30, 40, 4, std=1.0)


class TestGroups:
    def test_golden(self):
        case = golden("unkd_groups")
        items, num_items = case["train_items"], int(case["num_items"])
        group = popularity_groups(items, num_items, 3)
        assert torch.equal(group, case["group_of_item"])
        numbers, share, base = pairs_per_group(group, torch.bincount(items, minlength=num_items), 30, 0.0)
        assert numbers == case["pairs_per_group"].tolist()
        torch.testing.assert_close(share, case["ratio"])
        torch.testing.assert_close(base, case["ratio_before_power"])

    def test_an_item_beyond_a_share_is_a_group(self):
        items = torch.tensor([2] * 10 + [0] * 2 + [1] * 2 + [3])
        assert popularity_groups(items, 5, 3).tolist() == [1, 1, 0, 1, -1]

    def test_a_small_rest_joins_the_group_before(self):
        items = torch.tensor([0, 0, 0, 1, 1, 1, 2])  # shares of 3.5, a rest of 1
        assert popularity_groups(items, 3, 2).tolist() == [0, 1, 1]

    def test_numbers_that_fall_short(self):
        group, counts = torch.tensor([0, 1, 2, 3]), torch.tensor([4, 3, 2, 1])
        assert pairs_per_group(group, counts, 30)[0] == [8, 8, 8, 8]  # 7.5 rounds to even
        assert pairs_per_group(group, counts, 29)[0] == [8, 7, 7, 7]

    def test_no_groups(self):
        with pytest.raises(ValueError, match="'groups' must be at least 1, got 0"):
            popularity_groups(torch.tensor([0]), 1, 0)


@pytest.mark.parametrize("padding", [False, True])
def test_top_per_group(model, padding):
    pairs = toy(pairs=500, padding=padding)
    group = popularity_groups(pairs.items.long(), 40, 4)
    lists, lengths = top_per_group(model, pairs, group, 6, block_users=7)
    assert (lists.shape, lists.dtype) == ((30, int(group.max()) + 1, 6), torch.int32)
    user, item = model.tables()
    scores = user @ item.T
    for row, taken in enumerate(as_sets(pairs)):
        for number in range(int(group.max()) + 1):
            members = set((group == number).nonzero().flatten().tolist())
            expected = [i for i in sorted_items(scores[row], taken) if i in members][:6]
            assert int(lengths[row, number]) == len(expected)
            assert lists[row, number, : len(expected)].tolist() == expected
            assert set(lists[row, number].tolist()) <= members


class TestUnKD:
    def test_pairs(self, pairs, teacher):
        source = UnKDLists.of_teacher(teacher, pairs, groups=3, pairs=9, scale=2.0)
        batch = batch_of(pairs, source)
        group = torch.full((40,), -1)
        for number in range(source.grouped.items.size(1)):
            group[source.grouped.items[:, number].long().unique()] = number
        better, worse = batch["better"], batch["worse"]
        assert torch.equal(better.users, batch["users"])
        assert better.items.shape == worse.items.shape == (50, sum(source.numbers))
        assert torch.equal(group[better.items], group[worse.items])
        scores = teacher.score_items(batch["users"])
        ahead = scores.gather(1, better.items) > scores.gather(1, worse.items)
        short = source.grouped.lengths[batch["users"]].repeat_interleave(torch.tensor(source.numbers), dim=1) < 2
        assert (ahead | short).all()
        assert (better.items == worse.items)[short].all()
        assert not pairs.contains(batch["users"][:, None], better.items)[~short].any()

    def test_the_quirk_voids_half(self, teacher):
        source = UnKDLists.of_teacher(teacher, toy(), groups=2, pairs=400, scale=20.0, swap_quirk=True)
        batch = batch_of(toy(), source)
        assert float((batch["better"].items == batch["worse"].items).float().mean()) == pytest.approx(0.5, abs=0.03)

    def test_numbers_for_every_group(self, teacher):
        source = UnKDLists.of_teacher(teacher, toy(), groups=2)
        with pytest.raises(ValueError, match="'numbers' must have one entry for each of 2 groups, got 1"):
            UnKDLists(source.grouped, [3])
