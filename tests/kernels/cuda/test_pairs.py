"""The Triton bodies of differences between all-pairs similarities."""

from __future__ import annotations

import pytest
import torch

from graphkd.kernels.cuda import pairs as launches
from graphkd.kernels.cuda import tiles
from graphkd.kernels.pairs import similarity
from tests.kernels.cuda.calls import DTYPES
from tests.kernels.cuda.dense import check, matrix
from tests.kernels.graphs import assert_close

KERNELS = ("dot", "poly", "squared_euclidean", "euclidean", "rbf")
each_kernel = pytest.mark.parametrize("kernel", KERNELS)


def check_both(student, teacher, kernel, dtype, degree=3):
    """Forward and backward."""
    s, knobs = student.double().requires_grad_(), {"sigma": 1.5, "degree": degree, "offset": 0.5}
    value = similarity.pair_divergence_reference(s, teacher.double(), kernel, **knobs)
    arguments = student, teacher, kernel, *knobs.values()
    check(similarity._pair_divergence, arguments, value, dtype=torch.float32)
    check(similarity._pair_pull, arguments, *torch.autograd.grad(value, s), dtype=dtype)


@each_kernel
@pytest.mark.parametrize(("rows", "width"), [(1, 1), (70, 3)])
def test_shapes(kernel, rows, width, device):
    """One row; a tile on the diagonal, one beside it, and a rest."""
    check_both(matrix(rows, width, device), matrix(rows, width + 2, device, seed=1), kernel, torch.float32)


@each_kernel
@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
def test_narrow_precision(kernel, dtype, device):
    check_both(matrix(5, 7, device, dtype), matrix(5, 4, device, dtype, seed=1), kernel, dtype)


@pytest.mark.parametrize("kernel", ["poly", "rbf"])
def test_one_program_takes_several_tiles(kernel, device, monkeypatch):
    """And the gradient is cut into slices."""
    monkeypatch.setattr(tiles, "_PROGRAMS", 1)
    monkeypatch.setattr(launches, "SLICE", 32)
    check_both(matrix(70, 33, device), matrix(70, 2, device, seed=1), kernel, torch.float32)


@pytest.mark.parametrize("degree", [0, 1, -1])
def test_degrees(degree, device):
    student, teacher = (torch.linspace(0.1, 1, 6, device=device).view(3, 2) / part for part in (1, 2))
    check_both(student, teacher, "poly", torch.float32, degree)


def test_near_duplicates(device):
    """Rows far from the origin that differ in the last digits only keep their distance."""
    one = matrix(1, 8, device)
    student = torch.cat([one + 100, one + 100 + 1e-3, -one])
    teacher = torch.cat([student[:1], student[:1], student[2:]])  # the only difference is the tiny distance
    got = launches.pair_divergence(student, teacher, "euclidean", 1.0, 2, 0.0)
    want = similarity.pair_divergence_reference(student.double(), teacher.double(), "euclidean")
    torch.testing.assert_close(got.double(), want, rtol=1e-2, atol=0)


def test_equal_rows_have_finite_gradients(device):
    pull = launches.pair_divergence_backward(
        torch.ones(3, 2, device=device), matrix(3, 2, device), "euclidean", 1.0, 2, 0.0
    )
    assert_close(pull, torch.zeros(3, 2, device=device))


def test_no_rows(device):
    nothing = torch.zeros(0, 3, device=device), torch.zeros(0, 2, device=device), "rbf", 1.0, 2, 0.0
    assert launches.pair_divergence(*nothing) == 0
    assert launches.pair_divergence_backward(*nothing).shape == (0, 3)
