"""The instance relationship graph: its edges, one pair of instances at a time, and sums of its losses."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import (
    IRG,
    FitNet,
    IRGTransform,
    edge_map,
    irg,
    irg_transform,
)
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, WIDE_TEACHER, assert_value

SECOND, TEACHER_SECOND = STUDENT.flip(1) - 0.3, WIDE_TEACHER.flip(0) ** 2

PAIR, TEACHER_PAIR = (STUDENT, SECOND), (WIDE_TEACHER, TEACHER_SECOND)

SCALES = {"max": max, "mean": lambda values: sum(values) / len(values), "none": lambda _: 1.0}


def edges(x):
    return [math.dist(a, b) ** 2 for a in x for b in x]


def moves(first, second):
    return [math.dist(a, b) ** 2 for a, b in zip(first, second, strict=True)]


def error(student, teacher, scale):
    """Sum of squared differences of scaled values."""
    s, t = ([value / SCALES[scale](values) for value in values] for values in (student, teacher))
    return sum((a - b) ** 2 for a, b in zip(s, t, strict=True))


each_scale = pytest.mark.parametrize("scale", SCALES)

each_reduction = pytest.mark.parametrize("reduction", ["mean", "rows", "sum"])


@each_scale
@each_reduction
def test_edges(scale, reduction):
    want = error(edges(STUDENT), edges(WIDE_TEACHER), scale) / {"mean": 25, "rows": 10, "sum": 1}[reduction]
    for constant in (True, False):
        knobs = {"constant": constant, "reduction": reduction}
        assert_value(irg(STUDENT, WIDE_TEACHER, scale=scale, **knobs), want)
        assert_value(IRG(scale, **knobs)(STUDENT, WIDE_TEACHER), want)


@each_scale
def test_edge_map(scale):
    values = edges(STUDENT)
    want = torch.tensor(values, dtype=torch.float64).view(5, 5) / SCALES[scale](values)
    torch.testing.assert_close(edge_map(STUDENT, scale), want)


def test_paper():
    """Sums of squares of what is not scaled, each with its weight."""
    losses = IRG.paper(("a", "b"), [("a", "b")], vertex=0.5, edge=0.1, vertex_change=0.2, edge_change=0.3)
    student, teacher = {"logits": STUDENT, "a": STUDENT, "b": SECOND}, {"logits": TEACHER, "a": TEACHER, "b": STUDENT}
    parts = {
        0.5: ((STUDENT - TEACHER) ** 2).sum(),
        0.1: sum(error(edges(student[name]), edges(teacher[name]), "none") for name in ("a", "b")),
        0.2: error(moves(*PAIR), moves(TEACHER, STUDENT), "none"),
        0.3: (error(edges(STUDENT), edges(SECOND), "none") - error(edges(TEACHER), edges(STUDENT), "none")) ** 2,
    }
    got = sum(weight * loss.measure(student, loss.digest_view(teacher, {}), {}) for weight, loss in losses.parts())
    assert_value(got, sum(weight * float(part) for weight, part in parts.items()))


@pytest.mark.parametrize("form", ["edges", "moves"])
def test_gradient_through_the_scale(form):
    """A constant one is left out of the gradient of the student, that of an exact one is found by differences."""
    student = STUDENT.clone().requires_grad_()

    def value(constant):
        if form == "edges":
            return irg(student, TEACHER, constant=constant)
        return irg_transform((student, SECOND), (TEACHER, STUDENT), constant=constant)

    constant, exact = (torch.autograd.grad(value(constant), student)[0] for constant in (True, False))
    values = edges(STUDENT) if form == "edges" else moves(*PAIR)
    lengths = torch.cdist(student, student).square() if form == "edges" else (student - SECOND).square().sum(dim=1)
    theirs = torch.cdist(TEACHER, TEACHER).square() if form == "edges" else (TEACHER - STUDENT).square().sum(dim=1)
    wanted = (lengths / max(values) - theirs / theirs.max()).square().mean()
    torch.testing.assert_close(constant, torch.autograd.grad(wanted, student)[0])
    assert not torch.allclose(constant, exact)
    assert torch.autograd.gradcheck(lambda _: value(False), student)


def test_multi_type():
    """Vertices of the logits, edges of all layers, one change; a gradient through the scales."""
    losses = IRG.multi_type(("first", "second"), [("first", "second")])
    assert [(weight, type(loss), loss.on) for weight, loss in losses.parts()] == [
        (0.1, FitNet, "logits"),
        (2.5, IRG, "first"),
        (2.5, IRG, "second"),
        (5.0, IRGTransform, ("first", "second")),
    ]
    assert not any(loss.constant for _, loss in losses.parts() if not isinstance(loss, FitNet))


def test_equal_instances_have_no_edges():
    student = torch.ones(5, 3, dtype=torch.float64, requires_grad=True)
    value = IRG()(student, TEACHER)
    assert_value(value, sum((d / max(edges(TEACHER))) ** 2 for d in edges(TEACHER)) / 25)
    assert torch.autograd.grad(value, student)[0].isfinite().all()


def shape(student, teacher, batch):
    """Sum of the absolute differences of all squared distances over their maximum."""
    one, other = (torch.cdist(x, x).square() for x in (student, teacher))
    return (one / one.max() - other / other.max()).abs().sum()


class TestIRG(Behaviour):
    cases: ClassVar = {
        "IRG": Case(partial(IRG, constant=False), (3, 5), distance=shape),
        "IRG_equal_widths": Case(partial(IRG, constant=False), at_teacher="zero"),
        "IRG_mean": Case(partial(IRG, "mean", constant=False), at_teacher="zero"),
        "IRG_unscaled": Case(partial(IRG, "none", reduction="rows"), at_teacher="zero"),
    }
