"""Divergences of kernels over their own sums: by the formula, in one form and the other, with kernels that vanish."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.kernels import affinity_divergence, affinity_sums
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.pairs import tiles
from graphkd.kernels.pairs.density_divergence import density_divergence, fits
from tests.kernels.graphs import assert_close, normal

KNOBS = {
    "cosine": {},
    "exponential": {"sigma": 2.0, "kernel_eps": 0.1},
    "student_t": {"kernel_eps": 1e-6},
    "rbf": {"sigma": 2.0},
}


def sides(kernel, dtype=torch.float64):
    """Equal rows and rows of zeros among them."""
    student, teacher = (normal(8, width, dtype=dtype, seed=width) for width in (3, 4))
    student[2], student[3:5], teacher[1] = student[1], 0, teacher[0]
    return (unit_vectors(student), unit_vectors(teacher)) if kernel == "cosine" else (student, teacher)


def value(kernel, x, y, sigma=1.0, kernel_eps=0.0):
    squared = float((x - y).square().sum())
    distance = math.sqrt(squared + kernel_eps) / sigma
    found = {"cosine": (1 + float(x @ y)) / 2, "exponential": math.exp(-distance), "student_t": 1 / (1 + distance)}
    return found.get(kernel, math.exp(-squared / (2 * sigma)))


def densities(kernel, x, diagonal, **knobs):
    rows = range(len(x))
    values = [[value(kernel, x[i], x[j], **knobs) * (diagonal or i != j) for j in rows] for i in rows]
    return [[one / sum(row) for one in row] for row in values]


TERMS = {"kl": lambda p, q: q * math.log(q / p), "jeffreys": lambda p, q: (q - p) * math.log(q / p)}


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("divergence", TERMS)
@pytest.mark.parametrize("kernel", KNOBS)
def test_definition(kernel, divergence, diagonal):
    s, t = sides(kernel)
    p, q = (densities(kernel, x, diagonal, **KNOBS[kernel]) for x in (s, t))
    pairs = [(i, j) for i in range(8) for j in range(8) if diagonal or i != j]
    want = sum(TERMS[divergence](p[i][j], q[i][j]) for i, j in pairs)
    got = found(s, t, kernel, divergence, diagonal)
    assert_close(got, torch.tensor(want, dtype=torch.float64))


def found(s, t, kernel, divergence, diagonal=True):
    eps = KNOBS[kernel].get("kernel_eps", 0.0)
    sums = affinity_sums(t, kernel, sigma=KNOBS[kernel].get("sigma", 1.0), eps=eps, diagonal=diagonal)
    return density_divergence(s, t, sums, kernel, divergence, diagonal=diagonal, **KNOBS[kernel])


def streamed(s, t, kernel, divergence, diagonal=True):
    knobs = KNOBS[kernel]
    of_sums = {"sigma": knobs.get("sigma", 1.0), "eps": knobs.get("kernel_eps", 0.0), "diagonal": diagonal}
    sums = (affinity_sums(x, kernel, **of_sums) for x in (s, t))
    return affinity_divergence(s, t, *sums, kernel, divergence, diagonal=diagonal, **knobs)


def results(function, s, *others):
    leaf = s.clone().requires_grad_()
    value = function(leaf, *others)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("divergence", TERMS)
@pytest.mark.parametrize("kernel", KNOBS)
def test_one_logarithm_gives_what_four_do(kernel, divergence, diagonal, monkeypatch):
    s, t = sides(kernel)
    want = results(streamed, s, t, kernel, divergence, diagonal)
    for edge in (512, 3):
        monkeypatch.setitem(tiles._EDGE, "cpu", edge)
        for got, other in zip(results(found, s, t, kernel, divergence, diagonal), want, strict=True):
            assert_close(got, other)
    assert_close(found(s, t, kernel, divergence, diagonal), want[0])


@pytest.mark.parametrize("divergence", TERMS)
def test_kernels_that_vanish(divergence):
    """Opposite rows, and distances at which exp underflows: as ``affinity_divergence`` has it."""
    cosines = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    far = torch.tensor([[0.0], [1.0], [90.0]], dtype=torch.float64)
    for kernel, x in (("cosine", cosines), ("rbf", far)):
        for s, t in ((x, x.flip(0)), (x, sides(kernel)[1][:3]), (sides(kernel)[0][:3], x)):
            together, apart = (results(one, s, t, kernel, divergence) for one in (found, streamed))
            for got, want in zip(together, apart, strict=True):
                assert_close(got, want)


def test_opposite_rows_keep_the_probability_that_eps_leaves_them():
    """Rows in float64 beside sums in float32: cosines near -1 have digits that float32 rows have lost."""
    x = normal(6, 3, dtype=torch.float32, seed=0)
    x[1], t = -x[0], normal(6, 3, dtype=torch.float32, seed=1)
    s, t = (unit_vectors(side.double(), eps=1e-6) for side in (x, t))
    want = results(streamed, s, t, "cosine", "jeffreys")
    sums = affinity_sums(t, "cosine").float()
    got = results(lambda rows: density_divergence(rows, t, sums, "cosine", "jeffreys"), s)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_what_fits(monkeypatch):
    t, sums = torch.ones(3, 2), torch.ones(3)
    assert fits(t, sums)
    assert not fits(t.requires_grad_(), sums)
    monkeypatch.setattr(tiles, "_BUDGET", 0)
    assert not fits(torch.ones(3, 2), sums)


def test_no_rows():
    none = torch.zeros(0, 3)
    for divergence in TERMS:
        assert density_divergence(none, none, torch.zeros(0), "student_t", divergence) == 0


def test_refusals():
    with pytest.raises(ValueError, match=r"'divergence' must be 'kl' or 'jeffreys', got 'product'"):
        density_divergence(torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(2), "rbf", "product")
    with pytest.raises(ValueError, match=r"'teacher' must have as many rows as 'student' \(2\), got 3"):
        density_divergence(torch.zeros(2, 3), torch.zeros(3, 3), torch.ones(3), "rbf", "kl")
    with pytest.raises(ValueError, match=r"'teacher_sums' must have shape \(2,\), got \(3,\)"):
        density_divergence(torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(3), "rbf", "kl")
