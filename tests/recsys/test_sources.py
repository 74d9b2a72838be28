"""Each method's lists: of the right users, in the right order, from the right items, redrawn when they should be."""

from __future__ import annotations

import pytest
import torch

from recsys.batches import RankingBatches
from recsys.models import MF, Tables
from recsys.rankings import top_items, top_users
from recsys.sources import CDLists, DCDLists, IRRRDLists, RDLists, RRDLists, TopLists, UnKDLists
from tests.recsys.laws import as_sets, assert_law, toy


@pytest.fixture(params=[False, True], ids=["all", "padded"])
def pairs(request):
    return toy(padding=request.param)


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    return MF(30, 40, 4, std=1.0)


def batch_of(pairs, source, seed=1):
    torch.manual_seed(seed)
    return next(iter(RankingBatches(pairs, batch_size=50, sources={"source": source})))


def places(table, lists):
    """Position of every listed id in its row's table, which must hold it."""
    rows = table[lists.users].long()
    found = rows[:, None, :] == lists.items[:, :, None]
    assert found.any(dim=2).all()
    return found.long().argmax(dim=2)


class TestRD:
    def test_lists(self, pairs, teacher):
        top, taken = top_items(teacher, pairs, 8), as_sets(pairs)
        batch = batch_of(pairs, RDLists(top, pairs, k=5, samples=7))
        assert torch.equal(batch["top"].users, batch["users"])
        assert torch.equal(batch["top"].items, top[batch["users"], :5].long())  # training items are not in it anyway
        assert batch["sampled"].items.shape == (50, 7)
        for user, items in zip(batch["users"].tolist(), batch["sampled"].items.tolist(), strict=True):
            assert not set(items) & taken[user]

    def test_the_own_positive_is_left_out(self, pairs, teacher):
        top = top_items(teacher, None, 40)  # training items included, as the authors have it
        source = RDLists(top, pairs, k=30, samples=0)
        batch = batch_of(pairs, source)
        assert "sampled" not in batch
        assert (top[batch["users"], :30] == batch["positives"][:, None]).any()
        for row, positive in enumerate(batch["positives"].tolist()):
            expected = [item for item in top[batch["users"][row]].tolist() if item != positive][:30]
            assert batch["top"].items[row].tolist() == expected

    def test_samples_are_redrawn_for_every_row(self, pairs, teacher):
        source = RDLists(top_items(teacher, pairs, 8), pairs, k=5, samples=7)
        users = torch.tensor([3, 3])
        batch = {"users": users, "positives": users}
        assert not torch.equal(*source.lists(batch)["sampled"].items)

    def test_short_tables(self, pairs, teacher):
        with pytest.raises(ValueError, match=r"'top' must list at least k \+ 1 = 9 items, got 8"):
            RDLists(top_items(teacher, pairs, 8), pairs, k=8)


class TestCD:
    def test_teacher_guided(self, pairs, teacher):
        source = CDLists(teacher, pairs, k=4, length=15)
        batch = batch_of(pairs, source)
        drawn = places(top_items(teacher, pairs, 15), batch["drawn"])
        assert torch.equal(batch["drawn"].users, batch["users"])
        assert (drawn.diff(dim=1) > 0).all()
        assert drawn.max() > 8
        assert not torch.equal(batch_of(pairs, source, seed=2)["drawn"].items, batch["drawn"].items)

    def test_student_guided(self, pairs):
        student = MF(30, 40, 3, std=1.0)
        source = CDLists(student, pairs, k=4, length=6, rerank=2, per="user")
        tops = []
        for epoch in range(3):
            source.set_epoch(epoch, 3)
            student.item.weight.data = student.item.weight.data.roll(1, dims=0)
            tops.append(top_items(student, pairs, 6))
            batch = batch_of(pairs, source)
            places(tops[epoch - epoch % 2], batch["drawn"])
            assert torch.equal(batch["drawn"].users, batch["unique_users"])
        fresh = CDLists(student, pairs, k=4, length=6, rerank=2)
        fresh.load_state_dict(source.state_dict())
        fresh.set_epoch(3, 4)
        fresh.resample()
        places(tops[2], fresh.lists({"users": torch.arange(1, 30)})["drawn"])

    def test_lists_no_longer_than_what_is_left(self, pairs, teacher):
        source = CDLists(teacher, pairs, k=4)
        most = int(pairs.degrees().max())
        assert source.length == 40 - most - int(pairs.padding)
        batch_of(pairs, source)

    def test_bad_arguments(self, pairs, teacher):
        with pytest.raises(ValueError, match="'per' must be 'row' or 'user', got 'batch'"):
            CDLists(teacher, pairs, per="batch")
        with pytest.raises(ValueError, match="epochs between rankings must be at least 1, got 0"):
            CDLists(teacher, pairs, rerank=0)
        with pytest.raises(RuntimeError, match="the lists were not drawn yet"):
            CDLists(teacher, pairs).lists({"users": torch.tensor([1])})


class TestRRD:
    def test_lists(self, pairs, teacher):
        top, taken = top_items(teacher, pairs, 10), as_sets(pairs)
        source = RRDLists(top, pairs, k=4, l=6, scale=3.0)
        batch = batch_of(pairs, source)
        assert torch.equal(batch["interesting"].users, batch["unique_users"])
        assert (places(top, batch["interesting"]).diff(dim=1) > 0).all()  # the teacher's order
        for user, items in zip(*(each.tolist() for each in batch["uninteresting"]), strict=True):
            assert len(set(items)) == 6
            assert not set(items) & (taken[user] | set(top[user].tolist()))
            assert not pairs.padding or 0 not in items
        again = batch_of(pairs, source, seed=2)
        for name in ("interesting", "uninteresting"):
            assert not torch.equal(source.of(torch.arange(1, 30))[0], batch[name].items[:0])
            assert again[name].items.shape[1] == batch[name].items.shape[1]

    def test_without_sampling(self, pairs, teacher):
        top = top_items(teacher, pairs, 10)
        batch = batch_of(pairs, RRDLists(top, pairs, k=4, l=6, sample=False, names=("a", "b")))
        assert torch.equal(batch["a"].items, top[batch["unique_users"], :4].long())

    def test_all_epochs_differ(self, pairs, teacher):
        source = RRDLists(top_items(teacher, pairs, 10), pairs, k=4, l=6)
        torch.manual_seed(0)
        drawn = []
        for _ in range(2):
            source.resample()
            drawn.append(source.of(torch.arange(1, 30)))
        assert not torch.equal(drawn[0][0], drawn[1][0])
        assert not torch.equal(drawn[0][1], drawn[1][1])

    def test_bad_arguments(self, pairs, teacher):
        with pytest.raises(ValueError, match="'k' must be from 1 to 10, the length of 'top', got 11"):
            RRDLists(top_items(teacher, pairs, 10), pairs, k=11)

    def test_item_side(self, pairs, teacher):
        top, flipped = top_users(teacher, pairs, 8), pairs.transpose()
        users = RRDLists(top_items(teacher, pairs, 10), pairs, k=2, l=2)
        items = RRDLists(top, flipped, k=3, l=4)
        batch = batch_of(pairs, IRRRDLists(users, items))
        listed = torch.cat([batch["interesting"].items.flatten(), batch["uninteresting"].items.flatten()]).unique()
        taken = as_sets(flipped)
        for name, width in (("interesting_users", 3), ("uninteresting_users", 4)):
            assert torch.equal(batch[name].items, listed)
            assert batch[name].users.shape == (len(listed), width)
        for item, row in zip(listed.tolist(), batch["uninteresting_users"].users.tolist(), strict=True):
            assert not set(row) & (taken[item] | set(top[item].tolist()))
        some = batch_of(pairs, IRRRDLists(users, items, max_items=5))["interesting_users"].items
        assert len(some) == len(set(some.tolist())) == 5


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


class TestDCD:
    def test_lists(self, pairs, teacher):
        top = top_items(teacher, pairs, 10)
        student = Tables(*(table.detach().flip(0) for table in teacher.tables()))
        for per_batch in (False, True):
            batch = batch_of(pairs, DCDLists(student, top, k=3, floor=1e-30, per_batch=per_batch))
            users = batch["unique_users"]
            assert torch.equal(batch["underestimated"].users, users)
            scores = student.score(users[:, None], top[users].long())
            gap = scores.argsort(dim=1, descending=True).argsort(dim=1) - torch.arange(10)
            for name, sign in (("underestimated", 1), ("overestimated", -1)):
                position = places(top, batch[name])
                assert (position.diff(dim=1) > 0).all()  # the teacher's order
                enough = (gap * sign > 0).sum(dim=1) >= 3
                assert enough.any()
                assert (gap.gather(1, position) * sign > 0)[enough].all()

    def test_the_law_of_batches_and_of_epochs(self):
        torch.manual_seed(0)
        everyone = torch.arange(3000)
        student = Tables(torch.ones(3000, 1), torch.tensor([[0.0], [3.0], [1.0], [2.0]]))
        top = torch.arange(4, dtype=torch.int32).expand(3000, -1)
        weights = torch.tensor([3.0, -1.0, 0.0, -2.0]).mul(0.3).tanh()
        for per_batch in (False, True):
            source = DCDLists(student, top, k=1, sharpness=0.3, floor=1e-30, per_batch=per_batch)
            source.resample()
            lists = source.lists({"unique_users": everyone})
            for name, law in (("underestimated", weights), ("overestimated", -weights)):
                assert_law(torch.bincount(lists[name].items.flatten(), minlength=4), law.clamp(min=0))

    def test_item_side(self, pairs, teacher):
        top = top_users(teacher, pairs, 8)
        batch = batch_of(pairs, DCDLists(MF(30, 40, 3), top, k=3, of_items=True))
        lists = batch["underestimated_users"]
        assert torch.equal(lists.items, batch["positives"].unique())
        assert (top[lists.items][:, None, :] == lists.users[:, :, None]).any(dim=2).all()

    def test_ranks_are_kept_for_some_epochs_and_in_the_state(self, pairs, teacher):
        student, top = MF(30, 40, 3, std=1.0), top_items(teacher, pairs, 10)
        source, ranks = DCDLists(student, top, k=3, every=2), []
        for epoch in range(3):
            source.set_epoch(epoch, 3)
            student.item.weight.data = student.item.weight.data.roll(1, dims=0)
            source.resample()
            ranks.append(source.state_dict()["ranks"])
        assert torch.equal(ranks[0], ranks[1])
        assert not torch.equal(ranks[1], ranks[2])
        fresh = DCDLists(student, top, k=3, every=2)
        fresh.load_state_dict({"ranks": ranks[0]})
        fresh.set_epoch(1, 3)
        fresh.resample()
        assert torch.equal(fresh.state_dict()["ranks"], ranks[0])


def test_fixed_lists(pairs):
    table = torch.arange(60, dtype=torch.int32).view(30, 2) % 40
    batch = batch_of(pairs, TopLists({"tops": table}, per="row"))
    assert torch.equal(batch["tops"].items, table[batch["users"]].long())
