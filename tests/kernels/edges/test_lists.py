"""Inner products with the rows that lists name, by their definition: a pair at a time."""

from __future__ import annotations

import pytest
import torch

from graphkd.kernels.edges.lists import list_dot, list_dot_reference

SHAPES = [(5, 4), (5, 1), (5, 30), (0, 4), (5, 0)]  # 30: longer than the table


def example(shape, dtype=torch.float64):
    torch.manual_seed(0)
    one, many = (torch.randn(size, 3, dtype=dtype, requires_grad=True) for size in (shape[0], 9))
    return one, many, torch.randint(9, shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_values(shape):
    one, many, lists = example(shape)
    want = torch.zeros(shape, dtype=torch.float64)
    for row, ids in enumerate(lists.tolist()):
        for place, other in enumerate(ids):
            want[row, place] = sum(
                float(a) * float(b) for a, b in zip(one[row].detach(), many[other].detach(), strict=True)
            )
    torch.testing.assert_close(list_dot(one, many, lists), want)
    torch.testing.assert_close(list_dot_reference(one, many, lists), want)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_gradients(shape, dtype):
    one, many, lists = example(shape)
    pulls = torch.randn(shape, dtype=torch.float64)
    ours, theirs = (
        torch.autograd.grad((form(one, many, ids) * pulls).sum(), [one, many], allow_unused=True)
        for form, ids in ((list_dot, lists.to(dtype)), (list_dot_reference, lists))
    )
    for got, want in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    one, many, lists = example((5, 4), dtype)
    got = list_dot(one, many, lists)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, list_dot_reference(one.float(), many.float(), lists))
    slopes = torch.autograd.grad(got.sum(), [one, many])
    assert [slope.dtype for slope in slopes] == [dtype, dtype]


def test_a_second_derivative_is_refused():
    one, many, lists = example((5, 4))
    (slope,) = torch.autograd.grad(list_dot(one, many, lists).sum(), one, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        slope.sum().backward()
