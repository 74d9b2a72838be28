"""The distance of two matrices of cosines, of sides that are far apart and of such that are nearly equal."""

from __future__ import annotations

import pytest
import torch

from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.pairs.cosine_distance import cosine_distance, cosine_distance_reference, cosine_energy
from tests.kernels.graphs import assert_close, normal


def rows(width, seed):
    """Of zeros, and equal ones, among them."""
    x = normal(30, width, dtype=torch.float64, seed=seed)
    x[3], x[4:6] = x[2], 0
    return x


def results(function, student):
    leaf = student.clone().requires_grad_()
    value = function(leaf)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


@pytest.mark.parametrize("share", [1.0, 1e-3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_near_and_far(dtype, share):
    """Where little is left of large numbers, these are made in float64."""
    student = rows(3, 0)
    teacher = torch.cat([student, student], dim=1) + share * rows(6, 1)
    student, teacher = student.to(dtype), teacher.to(dtype)
    want = results(lambda x: cosine_distance_reference(x, teacher), student.double())
    known = unit_vectors(teacher), cosine_energy(teacher)
    for others in ((), known):
        got = results(lambda x, others=others: cosine_distance(x, teacher, *others), student)
        tolerance = {} if dtype == torch.float64 else {"rtol": 1e-3, "atol": 2e-5}
        for one, other in zip(got, want, strict=True):
            torch.testing.assert_close(one.double(), other, **tolerance)


def test_nothing_lies_between_a_side_and_itself():
    x = rows(4, 0).float()
    for others in ((), (unit_vectors(x), cosine_energy(x))):
        assert cosine_distance(x, x, *others) < 1e-5


def test_energy():
    x = rows(4, 0)
    unit = unit_vectors(x)
    assert_close(cosine_energy(x), (unit @ unit.t()).square().sum())


def test_refusal_of_other_rows():
    with pytest.raises(ValueError, match=r"'teacher' must have as many rows as 'student' \(2\), got 3"):
        cosine_distance(torch.zeros(2, 3), torch.zeros(3, 3))
