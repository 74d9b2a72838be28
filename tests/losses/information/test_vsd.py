"""VSD: the formulas, entry by entry."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest

from graphkd.losses import KL, VSD, vsd
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, assert_value
from tests.losses.scene import SAME_WIDTH


def softmax(row, temperature=1.0):
    weights = [math.exp(float(z) / temperature) for z in row]
    return [weight / sum(weights) for weight in weights]


def divergence(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_vsd():
    want = sum(divergence(softmax(TEACHER[i], 2.0), softmax(STUDENT[i], 2.0)) for i in NODES) / 5
    assert_value(vsd(STUDENT, TEACHER, 2.0), want)
    assert_value(4 * vsd(STUDENT, TEACHER, 2.0), float(KL(2.0)(STUDENT, TEACHER)))


def test_vsd_of_the_code():
    total = 0.0
    for i in NODES:
        for p, q in zip(softmax(STUDENT[i], 2.0), softmax(TEACHER[i], 2.0), strict=True):
            total += p * (math.log(p) - q)
    assert_value(VSD(2.0, form="code")(STUDENT, TEACHER), total / 15)


def test_the_observation_is_constant():
    for function in (partial(vsd, form="paper"), partial(vsd, form="code")):
        observation = TEACHER.clone().requires_grad_()
        function(STUDENT.clone().requires_grad_(), observation).backward()
        assert observation.grad is None


def test_refusals():
    with pytest.raises(ValueError, match=r"'form' must be one of \('paper', 'code'\), got 'Code'"):
        VSD(form="Code")


class TestVSD(Behaviour):
    cases: ClassVar = {
        "VSD": Case(partial(VSD, 2.0), at_teacher="zero", refused_width=SAME_WIDTH),
        "VSD_code": Case(partial(VSD, form="code"), refused_width=SAME_WIDTH),
    }
