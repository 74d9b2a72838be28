"""Recommenders against dense loops."""

from __future__ import annotations

import pickle

import pytest
import torch

from recsys.models import MF, LightGCN, Tables, frozen, tables_of
from tests.recsys.laws import Pairwise, toy


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
