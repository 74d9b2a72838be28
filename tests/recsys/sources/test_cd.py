"""CD's lists."""

from __future__ import annotations

import pytest
import torch

from recsys.models import MF
from recsys.models.rankings import top_items
from recsys.sources import CDLists
from tests.recsys.sources.drawing import batch_of, places


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
