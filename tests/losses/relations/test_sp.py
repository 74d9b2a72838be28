"""SP: the formula, one pair of nodes at a time."""

from __future__ import annotations

from typing import ClassVar

import torch

from graphkd.losses import (
    SP,
    similarity_preserving,
)
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, WIDE_TEACHER, approx, assert_value, dot, norm, unit
from tests.losses.relations.matrices import matrix, similarities, squared_distance


def test_similarity_preserving():
    student, teacher = ([unit(row) for row in matrix(x, dot)] for x in (STUDENT, WIDE_TEACHER))
    want = squared_distance(student, teacher) / 25
    assert_value(similarity_preserving(STUDENT, WIDE_TEACHER), want)
    assert_value(SP()(STUDENT, WIDE_TEACHER), want)
    assert_value(SP()(STUDENT, SP().digest(WIDE_TEACHER)), want)
    assert_value(similarity_preserving(STUDENT, WIDE_TEACHER, reduction="rows"), 5 * want)
    assert_value(SP(reduction="rows")(STUDENT, WIDE_TEACHER), 5 * want)


def test_rows_of_zeros_are_like_nothing():
    student = STUDENT.clone()
    student[2] = 0
    rows = [unit(row) if norm(row) else [0.0] * 5 for row in matrix(student, dot)]
    want = squared_distance(rows, [unit(row) for row in matrix(TEACHER, dot)]) / 25
    assert_value(SP()(student, TEACHER), want)
    student.requires_grad_()
    assert torch.autograd.grad(SP()(student, TEACHER), student)[0].isfinite().all()


def test_similarity_does_not_see_rotation_or_scale():
    rotation = torch.linalg.qr(normal(3, 3, dtype=torch.float64, seed=0)).Q
    torch.testing.assert_close(SP()(3 * STUDENT @ rotation, TEACHER), SP()(STUDENT, TEACHER))
    torch.testing.assert_close(SP()(3 * TEACHER @ rotation, TEACHER), approx(0.0), rtol=0, atol=1e-14)


def test_narrow_features():
    """Float32 rows of one direction, whose distance is a tiny difference of large numbers."""
    student = normal(400, 3, dtype=torch.float32, seed=0) * 1e-3 + 1
    teacher = student + normal(400, 3, dtype=torch.float32, seed=1) * 1e-4
    want = SP()(student.double(), teacher.double())
    torch.testing.assert_close(SP()(student, teacher).double(), want, rtol=1e-6, atol=0)


class TestSP(Behaviour):
    cases: ClassVar = {
        "SP": Case(SP, (3, 5), distance=similarities),
        "SP_equal_widths": Case(SP, at_teacher="zero"),
    }
