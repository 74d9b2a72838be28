"""CausE against its formula."""

from __future__ import annotations

import pytest
import torch

from recsys.losses import CausalPull


def test_causal_pull_moves_items_alone() -> None:
    item, copy = torch.randn(2, 4, 3, dtype=torch.float64)
    item.requires_grad_()
    copy.requires_grad_()
    value = CausalPull()((item, copy))
    want = sum(abs(a - b) for p, q in zip(item.tolist(), copy.tolist(), strict=True) for a, b in zip(p, q, strict=True))
    assert float(value.detach()) == pytest.approx(want / 4)
    value.backward()
    assert item.grad is not None
    assert copy.grad is None
