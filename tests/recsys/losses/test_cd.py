"""CD against its formula."""

from __future__ import annotations

import math

import pytest
import torch

from recsys.losses import CD
from recsys.losses.cd import cd
from tests.recsys.losses.examples import scores


@pytest.mark.parametrize("eps", [0.0, 1e-3])
def test_cd_is_its_formula(eps: float) -> None:
    student, teacher = scores(4, 5), scores(4, 5) * 2
    rows = []
    for u in range(4):
        row = 0.0
        for i in range(5):
            q = 1 / (1 + math.exp(-(float(teacher[u, i]) + 0.3) / 1.7))
            x = 1 / (1 + math.exp(-float(student[u, i])))
            row -= q * math.log(x + eps) + (1 - q) * math.log(1 - x + eps)
        rows.append(row)
    knobs = {"temperature": 1.7, "offset": 0.3, "eps": eps}
    assert float(CD(**knobs)(student, teacher)) == pytest.approx(sum(rows) / 20)
    assert float(cd(student, teacher, **knobs, reduction="sum")) == pytest.approx(sum(rows))


def test_cd_is_least_where_the_student_agrees() -> None:
    teacher = scores(4, 5)
    student = (teacher / 2).requires_grad_()
    (grad,) = torch.autograd.grad(cd(student, teacher), student)
    torch.testing.assert_close(grad, torch.zeros_like(grad))


def test_cd_errors() -> None:
    with pytest.raises(ValueError, match="'teacher' must"):
        cd(torch.zeros(4, 5), torch.zeros(4, 6))
    with pytest.raises(ValueError, match="'temperature' must be positive, got 0"):
        cd(torch.zeros(4, 5), torch.zeros(4, 5), temperature=0)
