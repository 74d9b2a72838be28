"""Squared differences of all inner products, by their formula and by matrices."""

from __future__ import annotations

import pytest
import torch

from recsys.losses import _pair_distance
from recsys.losses._pair_distance import pair_distance, pair_distance_reference


def rows(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(sum(shape))
    return torch.randn(*shape, 3, dtype=torch.float64, requires_grad=True), torch.randn(*shape, 5, dtype=torch.float64)


def test_the_formula() -> None:
    s, t = rows(6)
    total = 0.0
    for a in range(6):
        for b in range(6):
            wanted = float(t[a] @ t[b])
            total += (float((s[a] @ s[b]).detach()) - wanted) ** 2 * (wanted > 0)
    assert float(pair_distance(s, t, positive_only=True).detach()) == pytest.approx(total)


@pytest.mark.parametrize("shape", [(0,), (1,), (23,), (4, 9)])
@pytest.mark.parametrize("positive_only", [False, True])
@pytest.mark.parametrize("pairs", [1, 60, 2**17])  # a row at a time, some, all
def test_it_is_its_matrices(
    shape: tuple[int, ...], positive_only: bool, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pair_distance, "_PAIRS", pairs)
    s, t = rows(*shape)
    got, want = (form(s, t, positive_only=positive_only) for form in (pair_distance, pair_distance_reference))
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
    slopes = [torch.autograd.grad(3 * value, s)[0] for value in (got, want)]
    torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-12)


def test_a_teacher_that_wants_a_gradient_has_one() -> None:
    s, t = rows(7)
    t.requires_grad_()
    got, want = (form(s, t, positive_only=True) for form in (pair_distance, pair_distance_reference))
    for one, other in zip(*(torch.autograd.grad(value, [s, t]) for value in (got, want)), strict=True):
        torch.testing.assert_close(one, other)


def test_a_second_derivative_is_refused() -> None:
    s, t = rows(7)
    (slope,) = torch.autograd.grad(pair_distance(s, t, positive_only=True), s, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        slope.sum().backward()
