"""Second derivatives of autograd functions are refused, whatever asks for them."""

from __future__ import annotations

import pytest
import torch

from graphkd.kernels.functions import differentiable_once


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    @differentiable_once
    def backward(ctx, grad):
        x, y = ctx.saved_tensors
        return grad * y, grad * x if ctx.needs_input_grad[1] else None


def test_first_derivatives():
    x, y = torch.tensor([2.0, 3.0], requires_grad=True), torch.tensor([5.0, 7.0])
    (slope,) = torch.autograd.grad(Product.apply(x, y).sum(), x)
    assert slope.tolist() == [5.0, 7.0]
    assert not slope.requires_grad


@pytest.mark.parametrize("of", ["x", "y"])
@pytest.mark.parametrize("outer", [torch.sum, lambda product: product.square().sum()])
def test_second_derivatives_are_refused(of, outer):
    leaves = {"x": torch.tensor([2.0, 3.0], requires_grad=True), "y": torch.tensor([5.0, 7.0], requires_grad=True)}
    (slope,) = torch.autograd.grad(outer(Product.apply(*leaves.values())), leaves["x"], create_graph=True)
    assert slope.requires_grad
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(slope.sum(), leaves[of])
