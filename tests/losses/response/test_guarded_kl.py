"""KL with small numbers in its logarithm: the formulas, one class at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import GuardedKL, kl
from graphkd.losses.response.guarded_kl import guarded_kl
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, NODES, STUDENT, TEACHER, assert_value, softmax
from tests.losses.scene import SAME_WIDTH


def test_formulas():
    target = ratio = 0.0
    for i in NODES:
        p, q = softmax(TEACHER[i], 3.0), softmax(STUDENT[i], 3.0)
        target += sum((p[c] + 0.01) * math.log((p[c] + 0.01) / q[c]) for c in CLASSES) / 5
        ratio += sum(p[c] * math.log(0.01 + p[c] / (q[c] + 0.01)) for c in CLASSES) / 5
    assert_value(guarded_kl(STUDENT, TEACHER, 3.0, eps=0.01), 9 * target)
    assert_value(GuardedKL(3.0, eps=0.01)(STUDENT, TEACHER), 9 * target)
    assert_value(GuardedKL(3.0, eps=0.01, guard="ratio")(STUDENT, TEACHER), 9 * ratio)


@pytest.mark.parametrize("guard", ["target", "ratio"])
def test_a_small_guard_is_kl(guard):
    got = guarded_kl(STUDENT, TEACHER, 2.0, eps=1e-12, guard=guard)
    assert float(got) == pytest.approx(float(kl(STUDENT, TEACHER, 2.0)), rel=1e-9)
    assert torch.equal(GuardedKL(2.0, eps=0.0, guard=guard)(STUDENT, TEACHER), kl(STUDENT, TEACHER, 2.0))
    sure = torch.tensor([[900.0, 0.0]], dtype=torch.float64)  # a probability of 0
    assert guarded_kl(-sure, sure, eps=0.0, guard=guard) == 900


def test_arguments():
    with pytest.raises(ValueError, match=r"'guard' must be one of \('target', 'ratio'\), got 'both'"):
        GuardedKL(guard="both")
    with pytest.raises(ValueError, match="'eps' must be at least 0, got -1"):
        GuardedKL(eps=-1)


class TestGuardedKL(Behaviour):
    cases: ClassVar = {
        "GuardedKL": Case(partial(GuardedKL, 3.0), refused_width=SAME_WIDTH),
        "GuardedKL_ratio": Case(partial(GuardedKL, eps=1e-8, guard="ratio"), refused_width=SAME_WIDTH),
    }
