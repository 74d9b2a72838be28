"""What a recommender shows for a batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphkd import Distiller, Frozen, Loss
from recsys.models import MF, Lists, show
from tests.recsys.laws import Pairwise


class Recorder(Loss):
    """Remembers what it saw."""

    on = ("lists", "of_items", "user")

    def forward(self, student: tuple, teacher: tuple, *, users: Tensor) -> Tensor:
        self.seen = student, teacher, users
        return student[0].sum()


class TestView:
    def batch(self):
        return {
            "users": torch.tensor([1, 3]),
            "lists": Lists(torch.tensor([1, 3]), torch.tensor([[0, 2, 2], [8, 1, 0]])),
            "of_items": Lists(torch.tensor([[0, 5], [2, 2]]), torch.tensor([4, 4])),
            "single": Lists(torch.tensor([1, 3]), torch.tensor([[0], [2]])),
        }

    @pytest.mark.parametrize("make", [lambda: MF(6, 9, 3, std=1.0), Pairwise])
    def test_entries(self, make):
        torch.manual_seed(0)
        model, batch = make().eval(), self.batch()
        view = show(model, batch)
        every = model.score(torch.arange(6)[:, None], torch.arange(9)[None])
        torch.testing.assert_close(view["lists"], every[batch["lists"].users[:, None], batch["lists"].items])
        torch.testing.assert_close(view["of_items"], every[batch["of_items"].users, batch["of_items"].items[:, None]])
        torch.testing.assert_close(view["single"], every[batch["single"].users[:, None], batch["single"].items])
        assert view["lists"] is view["lists"]
        assert "users" not in view
        assert list(view) == (["user", "item"] if model.has_tables else [])
        assert len(view) == len(list(view))

    @pytest.mark.parametrize("of_items", [True, False])
    def test_lists_of_the_same_rows_are_scored_together(self, of_items):
        torch.manual_seed(0)
        model, rows = MF(9, 9, 3, std=1.0).double(), torch.tensor([1, 3])

        def lists(*shape):
            ids = torch.randint(9, shape)
            return Lists(rows, ids) if of_items else Lists(ids, rows)

        widths = {"one": 4, "other": 7, "long": 9, "single": 1}
        batch = {name: lists(2, width) for name, width in widths.items()}
        found = {}
        for name in widths:  # each first
            view = show(model, batch)
            scores = view[name]
            together = {other for other in widths if other in view._shown}
            assert together == {"one": {"one", "other"}, "long": {"long", "other"}}.get(name, together)
            found[name] = (
                scores,
                *torch.autograd.grad(view["one"].sum() + view["other"].square().sum(), model.parameters()),
            )
        every = model.score(torch.arange(9)[:, None], torch.arange(9)[None])
        for name, (users, items) in batch.items():
            pairs = (users[:, None], items) if of_items else (users, items[:, None])
            torch.testing.assert_close(found[name][0], every[pairs])
        one, other = (
            every[(rows[:, None], batch[name].items) if of_items else (batch[name].users, rows[:, None])]
            for name in ("one", "other")
        )
        want = torch.autograd.grad(one.sum() + other.square().sum(), model.parameters())
        for _, *slopes in found.values():
            torch.testing.assert_close(slopes, [*want])

    def test_the_tables_are_computed_once(self):
        calls = []

        class Counting(MF):
            def tables(self):
                calls.append(1)
                return super().tables()

        view = show(Counting(6, 9, 3), self.batch())
        assert not calls
        for name in ("user", "item", "lists", "of_items"):
            view[name]
        assert len(calls) == 1

    def test_unknown_entries_are_named(self):
        with pytest.raises(KeyError, match=r"the tables \['user', 'item'\] and the lists \['lists', 'of_items'"):
            show(MF(6, 9, 3), self.batch())["interesting"]

    def test_misshapen_lists_are_named(self):
        view = show(MF(6, 9, 3), {"odd": Lists(torch.tensor([1, 2]), torch.tensor([1, 2]))})
        with pytest.raises(ValueError, match=r"'odd' must be Lists of users \(R,\) and items \(R, M\)"):
            view["odd"]

    def test_only_recommenders(self):
        with pytest.raises(TypeError, match="'model' must be a Recommender, got Linear"):
            show(torch.nn.Linear(1, 1), {})

    def test_in_a_distiller(self):
        student, teacher, loss = MF(6, 9, 3), MF(6, 9, 5), Recorder()
        step = Distiller(student, Frozen(teacher, call=show), loss, call=show)(self.batch())
        step.loss.backward()
        assert student.user.weight.grad is not None
        assert teacher.user.weight.grad is None
        (ours, of_items, table), (theirs, _, other), users = loss.seen
        assert ours.requires_grad
        assert not theirs.requires_grad
        assert (table.shape, other.shape) == ((6, 3), (6, 5))
        assert of_items.shape == (2, 2)
        assert users.tolist() == [1, 3]
