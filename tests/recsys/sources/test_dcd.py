"""DCD's lists."""

from __future__ import annotations

import torch

from recsys.models import MF, Tables
from recsys.models.rankings import top_items, top_users
from recsys.sources import DCDLists
from tests.recsys.laws import assert_law
from tests.recsys.sources.drawing import batch_of, places


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
