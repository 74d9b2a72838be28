"""Inner products of rows, and their gradients, against gathering both sides."""

from __future__ import annotations

import pytest
import torch

from recsys.models.products import inner_products


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
