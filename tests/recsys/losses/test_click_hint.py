"""The hint of click nets against its formula."""

from __future__ import annotations

import pytest
import torch

from recsys.losses import ClickHint


def test_the_hint_is_its_formula() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(4, 2, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    loss = ClickHint(2, 3).double()
    w = loss.projector.weight.tolist()
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        total += sum((t[i] - sum(w[i][j] * s[j] for j in range(2))) ** 2 for i in range(3))
    assert float(loss(student, teacher).detach()) == pytest.approx(total / 4)
