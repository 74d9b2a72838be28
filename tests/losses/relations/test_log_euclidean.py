"""Logarithms of matrices of cosines, which scipy takes."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.linalg import logm

from graphkd.losses import (
    LogEuclidean,
    log_euclidean,
)
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import TEACHER, approx, dot, norm, unit
from tests.losses.relations.matrices import matrix


@pytest.mark.parametrize("ridge", [1e-3, 0.5])
@pytest.mark.parametrize("widths", [(3, 5), (7, 6)])
def test_log_euclidean(ridge, widths):
    """On fewer columns than rows and on more; scipy takes the logarithm of the matrix."""
    student, teacher = (normal(5, width, dtype=torch.float64, seed=width) + 0.3 for width in widths)
    logarithms = []
    for x in (student, teacher):
        rows = [unit(row) if norm(row) else row.tolist() for row in x.clamp_min(0)]
        logarithms.append(logm(np.array(matrix(rows, dot)) + ridge * np.eye(5)))
    want = approx(float(((logarithms[0] - logarithms[1]) ** 2).sum()))
    torch.testing.assert_close(log_euclidean(student, teacher, ridge), want, rtol=1e-10, atol=0)
    torch.testing.assert_close(LogEuclidean(ridge)(student, teacher), want, rtol=1e-10, atol=0)
    own = logarithms[1] - np.log(ridge) * np.eye(5)
    relative = LogEuclidean(ridge, reduction="relative")(student, teacher)
    torch.testing.assert_close(relative, want / float((own**2).sum()), rtol=1e-10, atol=0)


def test_relative_to_a_teacher_that_shows_nothing_is_the_sum():
    nothing = torch.zeros_like(TEACHER)
    assert LogEuclidean(reduction="relative")(TEACHER, nothing) == LogEuclidean()(TEACHER, nothing) > 0


def test_equal_eigenvalues_have_a_gradient():
    """Where that of an eigendecomposition is NaN: equal nodes, columns that never fire, more columns than nodes."""
    student = torch.eye(5, 7, dtype=torch.float64)[[0, 0, 1, 2, 3]].requires_grad_()
    value = LogEuclidean()(student, TEACHER)
    assert torch.autograd.grad(value, student)[0].isfinite().all()


class TestLogEuclidean(Behaviour):
    cases: ClassVar = {
        "LogEuclidean": Case(partial(LogEuclidean, 0.1), (3, 5)),
        "LogEuclidean_equal_widths": Case(partial(LogEuclidean, 0.1), at_teacher="zero"),
    }
