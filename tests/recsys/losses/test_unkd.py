"""UnKD against its formula."""

from __future__ import annotations

import math

import pytest
import torch

from recsys.losses import UnKD
from recsys.losses.unkd import unkd


@pytest.mark.parametrize("eps", [0.0, 1e-3])
def test_unkd_is_its_formula(eps: float) -> None:
    torch.manual_seed(0)
    better, worse = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    total = 0.0
    for u in range(4):
        pairs = [-math.log(1 / (1 + math.exp(float(worse[u, p] - better[u, p]))) + eps) for p in range(3)]
        total += sum(pairs) / 3
    assert float(unkd(better, worse, eps=eps)) == pytest.approx(total / 4)
    assert float(UnKD(eps=eps)((better, worse))) == pytest.approx(total / 4)
    assert float(unkd(better, worse, eps=eps, reduction="sum")) == pytest.approx(3 * total)


def test_void_pairs_halve_the_signal() -> None:
    """The authors' swap leaves pairs of an item with itself: log 2 and no gradient."""
    torch.manual_seed(0)
    scores = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    worse = torch.randn(4, 3, dtype=torch.float64)
    (whole,) = torch.autograd.grad(unkd(scores, worse), scores)
    void = torch.cat([scores, scores], dim=1), torch.cat([worse, scores], dim=1)
    (half,) = torch.autograd.grad(unkd(*void), scores)
    torch.testing.assert_close(half, whole / 2)
