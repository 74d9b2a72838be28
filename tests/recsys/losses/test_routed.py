"""Mixtures of small networks in all their forms, against every expert on every row."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.losses import _routed
from recsys.losses._routed import mixture, mixture_reference, routed
from tests.recsys.losses.test_experts import naive, stack, weights

EXPERTS = 6


def shares(rows: int, each: int, *, uneven: bool = False) -> Tensor:
    """Routing to ``each`` experts a row; uneven: the first expert has most rows."""
    generator = torch.Generator().manual_seed(rows + each)
    logits = torch.randn(rows, EXPERTS, dtype=torch.float64, generator=generator)
    logits[:, 0] += 5.0 * uneven
    chosen = logits.topk(each, dim=1).indices
    kept = torch.full_like(logits, -torch.inf).scatter(1, chosen, logits.gather(1, chosen))
    return kept.softmax(dim=1)


@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize(("rows", "each"), [(1, 1), (100, 1), (100, 2), (100, 3), (100, 6)])
@pytest.mark.parametrize("most_weights", [0, 2**19])  # without blocks, and with them
def test_all_forms_have_the_gradients_of_the_naive_mixture(
    uneven: bool, rows: int, each: int, most_weights: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_routed, "_MOST", 0.9)
    monkeypatch.setattr(_routed, "_WEIGHTS", most_weights)
    experts = stack(EXPERTS)
    x = torch.randn(rows, 3, dtype=torch.float64, requires_grad=True)
    z = shares(rows, each, uneven=uneven).requires_grad_()
    parameters = [x, *weights(experts), z]
    target = torch.randn(rows, 6, dtype=torch.float64)
    got, want = routed(x, z, *weights(experts)), naive(x, z, experts)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
    ours, theirs = (torch.autograd.grad((out - target).square().sum(), parameters) for out in (got, want))
    for one, other in zip(ours[:-1], theirs[:-1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    counted = z > 0  # smaller shares get no gradient
    torch.testing.assert_close(ours[-1][counted], theirs[-1][counted], rtol=1e-9, atol=1e-12)
    assert not ours[-1][~counted].any() or each == EXPERTS


@pytest.mark.parametrize("some", [1, 5, 256])  # a row at a time, some, all
@pytest.mark.parametrize("rows", [0, 1, 17])
def test_the_mixture_of_some_rows_at_a_time(some: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_routed, "_ROWS", some)
    experts = stack(EXPERTS)
    x = torch.randn(rows, 3, dtype=torch.float64, requires_grad=True)
    z = shares(rows, EXPERTS).requires_grad_()
    parameters = [x, z, *weights(experts)]
    got, want = (form(x, z, *weights(experts)) for form in (mixture, mixture_reference))
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
    pulls = torch.randn(rows, 6, dtype=torch.float64)
    slopes = (torch.autograd.grad(out, parameters, pulls) for out in (got, want))
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("each", [1, EXPERTS])
def test_a_second_derivative_is_refused(each: int) -> None:
    experts = stack(EXPERTS)
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    out = routed(x, shares(5, each), *weights(experts))
    (slope,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        slope.sum().backward()


@pytest.mark.parametrize("each", [1, EXPERTS])
def test_shares_of_half_precision_are_of_the_experts_type(each: int) -> None:
    experts = stack(EXPERTS).float()
    x, z = torch.randn(5, 3), shares(5, each).bfloat16()
    got = routed(x, z, *weights(experts))
    torch.testing.assert_close(got, naive(x, z.float(), experts))
