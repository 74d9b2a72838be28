"""Recommenders, their views and their products, against dense loops."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor

from graphkd import Distiller, Frozen, Loss
from recsys.models import MF, LightGCN, Lists, Recommender, Tables, frozen, show, tables_of
from recsys.products import inner_products
from tests.recsys.laws import toy


class Pairwise(Recommender):
    """A model without tables."""

    has_tables = False

    def __init__(self, num_users=6, num_items=9):
        super().__init__(num_users, num_items)
        self.user, self.item = torch.nn.Embedding(num_users, 3), torch.nn.Embedding(num_items, 3)
        self.dropout = torch.nn.Dropout(0.5)

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        return self.dropout(self.user(users) * self.item(items)).sum(dim=-1).tanh()


class TestProducts:
    SHAPES = (
        ((5, 1), (5, 4)),
        ((5, 4), (5, 1)),
        ((5, 1), (5, 12)),  # longer than the catalogue
        ((5, 12), (5, 1)),
        ((5, 1), (5, 1)),
        ((5, 1), (1, 4)),
        ((1, 1), (1, 4)),
        ((0, 1), (0, 4)),
        ((5,), (5,)),
    )

    @pytest.mark.parametrize(("users", "items"), SHAPES)
    def test_values_and_gradients(self, users, items):
        torch.manual_seed(0)
        user, item = torch.randn(6, 3, dtype=torch.double), torch.randn(9, 3, dtype=torch.double)
        users, items = torch.randint(6, users), torch.randint(9, items)
        weights = torch.randn(torch.broadcast_shapes(users.shape, items.shape), dtype=torch.double)
        results = []
        for form in (inner_products, lambda a, b, u, i: (a[u] * b[i]).sum(-1)):
            leaves = user.clone().requires_grad_(), item.clone().requires_grad_()
            scores = form(*leaves, users, items)
            gradients = torch.autograd.grad((scores * weights).sum(), leaves)
            results.append((scores, *gradients))
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other)

    def test_only_one_side_has_gradients(self):
        users, items = torch.tensor([[0], [1]]), torch.tensor([[1, 2], [2, 2]])
        item = torch.randn(3, 2, requires_grad=True)
        inner_products(torch.ones(2, 2), item, users, items).sum().backward()
        assert item.grad.tolist() == [[0, 0], [1, 1], [3, 3]]

    @pytest.mark.parametrize("name", ["users", "items"])
    def test_ids_out_of_range_are_named(self, name):
        ids = {"users": torch.tensor([[0]]), "items": torch.tensor([[0, 1]])}
        ids[name] = ids[name] + 2
        with pytest.raises(IndexError, match=f"'{name}' must hold ids from 0 to 1, got ids from 2 to"):
            inner_products(torch.ones(2, 2), torch.ones(2, 2), **ids)


class TestModels:
    def test_mf(self):
        torch.manual_seed(0)
        model = MF(1000, 2000, 8, std=0.5)
        user, item = model.tables()
        assert (user.shape, item.shape) == ((1000, 8), (2000, 8))
        assert float(user.detach().std()) == pytest.approx(0.5, rel=0.05)
        assert {name for name, _ in model.named_parameters()} == {"user.weight", "item.weight"}

    def test_lightgcn_is_the_dense_formula(self):
        pairs = toy(5, 7, 12)
        torch.manual_seed(0)
        model = LightGCN(pairs, 4, layers=3).double()
        size = 12
        adjacency = torch.zeros(size, size, dtype=torch.double)
        users, items = pairs.pairs()
        adjacency[users, 5 + items] = 1
        adjacency += adjacency.T.clone()
        root = adjacency.sum(1).clamp(min=1).rsqrt()
        adjacency = root[:, None] * adjacency * root
        table = model.table.weight.detach().clone().requires_grad_()
        layers = [table]
        for _ in range(3):
            layers.append(adjacency @ layers[-1])
        expected = torch.stack(layers).mean(0)
        weights = torch.randn(size, 4, dtype=torch.double)
        got = torch.cat(model.tables())
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-8)  # the graph was normalised in float32
        (got * weights).sum().backward()
        (expected * weights).sum().backward()
        torch.testing.assert_close(model.table.weight.grad, table.grad, rtol=1e-6, atol=1e-8)

    def test_lightgcn_state_is_its_table(self):
        model = LightGCN(toy(), 4)
        assert set(model.state_dict()) == {"table.weight"}
        other = LightGCN(toy(), 4)
        other.load_state_dict(model.state_dict())
        copied = pickle.loads(pickle.dumps(model))
        for each in (other, copied):
            assert torch.equal(each.tables()[1], model.tables()[1])

    def test_tables_are_no_parameters(self):
        tables = tables_of(MF(3, 4, 2))
        assert not list(tables.parameters())
        assert set(tables.state_dict()) == {"user", "item"}
        with pytest.raises(ValueError, match=r"tables of one width, got \[3, 2\] and \[4, 3\]"):
            Tables(torch.ones(3, 2), torch.ones(4, 3))
        with pytest.raises(TypeError, match="Pairwise scores without tables"):
            tables_of(Pairwise())

    @pytest.mark.parametrize("make", [lambda: MF(6, 9, 3), Pairwise, lambda: LightGCN(toy(6, 9, 20), 3)])
    def test_scores_agree(self, make):
        torch.manual_seed(0)
        model = make().eval()
        users, items = torch.tensor([4, 0]), torch.tensor([8, 1, 1])
        every = model.score(torch.arange(6)[:, None], torch.arange(9)[None])
        torch.testing.assert_close(model.score_items(users), every[users])
        torch.testing.assert_close(model.score_users(items), every[:, items].T)

    def test_frozen(self):
        model = Pairwise().train()
        with frozen(model) as fixed:
            assert fixed is model
            assert not model.training
            assert not fixed.score(torch.tensor([0]), torch.tensor([0])).requires_grad
        assert model.training


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
