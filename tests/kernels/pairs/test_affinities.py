"""Kernels of all pairs in tiles, by their definition: one pair at a time."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import affinity_divergence, affinity_sums
from graphkd.kernels.pairs import tiles
from tests.kernels.graphs import QUICK, assert_close, normal

KERNELS = ("dot", "cosine", "exponential", "rbf", "student_t")


def matrix(rows, width, seed):
    return normal(rows, width, dtype=torch.float64, seed=seed)


def value(kernel, x, y, sigma, degree, eps):
    squared = float((x - y).square().sum())
    distance = math.sqrt(squared + eps)
    return {
        "dot": lambda: float(x @ y),
        "cosine": lambda: (float(x @ y) + 1) / 2,
        "exponential": lambda: math.exp(-distance / sigma),
        "rbf": lambda: math.exp(-squared / (2 * sigma)),
        "student_t": lambda: 1 / (1 + (distance / sigma) ** degree),
        "match": lambda: float(squared == 0),
    }[kernel]()


@QUICK
@given(
    kernel=st.sampled_from((*KERNELS, "match")),
    rows=st.integers(0, 6),
    labelled=st.booleans(),
    diagonal=st.booleans(),
    seed=st.integers(0, 99),
)
def test_affinity_sums(kernel, rows, labelled, diagonal, seed):
    x = matrix(rows, 1 if kernel == "match" else 3, seed) / 4
    x = (4 * x).round() if kernel == "match" else x
    y = torch.arange(rows) % 2
    want = [
        sum(
            value(kernel, x[i], x[j], 1.5, 3.0, 0.1)
            for j in range(rows)
            if (diagonal or i != j) and (not labelled or y[i] == y[j])
        )
        for i in range(rows)
    ]
    labels = y if labelled else None
    got = affinity_sums(x, kernel, labels=labels, sigma=1.5, degree=3.0, eps=0.1, diagonal=diagonal)
    assert_close(got, torch.tensor(want, dtype=torch.float64))


TERMS = {
    "kl": lambda p, q, eps: q * math.log((q + eps) / (p + eps)),
    "kl_ratio": lambda p, q, eps: q * math.log(eps + q / (p + eps)),
    "jeffreys": lambda p, q, _: (q - p) * math.log(q / p),
    "product": lambda p, q, _: (p * q) ** 2,
}


@QUICK
@given(
    kernel=st.sampled_from(KERNELS[1:]),
    divergence=st.sampled_from(sorted(TERMS)),
    rows=st.integers(0, 6),
    seed=st.integers(0, 99),
)
def test_affinity_divergence(kernel, divergence, rows, seed):
    """Sums are whatever they are given as; the kernel of the teacher may be another."""
    s, t = matrix(rows, 3, seed) / 4, matrix(rows, 4, seed + 1) / 4
    sums = matrix(rows, 2, seed + 2).square() + 1
    want = 0.0
    for i in range(rows):
        for j in range(rows):
            p = value(kernel, s[i], s[j], 1.5, 3.0, 0.3) / float(sums[i, 0])
            q = value("exponential", t[i], t[j], 1.5, 3.0, 0.3) / float(sums[i, 1])
            want += TERMS[divergence](p, q, 0.1)
    knobs = {"teacher_kernel": "exponential", "sigma": 1.5, "degree": 3.0, "eps": 0.1, "kernel_eps": 0.3}
    got = affinity_divergence(s, t, sums[:, 0], sums[:, 1], kernel, divergence, **knobs)
    assert_close(got, torch.tensor(want, dtype=torch.float64))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("diagonal", [True, False])
def test_tiles_do_not_show(kernel, diagonal, monkeypatch):
    s, t = ((matrix(7, width, width) / 4).requires_grad_() for width in (3, 4))
    y, knobs = torch.arange(7) % 3, {"eps": 0.1, "degree": 2.0, "diagonal": diagonal}
    divergence = "product" if kernel == "dot" else "kl"

    def results():
        sums = [affinity_sums(x, kernel, **knobs) + 5 for x in (s, t)]
        values = affinity_divergence(s, t, *sums, kernel, divergence, **knobs), affinity_sums(s, kernel, labels=y)
        total = values[0] + values[1].square().sum()
        return *(one.detach() for one in values), *torch.autograd.grad(total, (s, t))

    whole = results()
    monkeypatch.setitem(tiles._EDGE, "cpu", 3)
    for got, want in zip(results(), whole, strict=True):
        assert_close(got, want)


@pytest.mark.parametrize("kernel", ["exponential", "student_t"])
def test_equal_rows_pull_at_nothing(kernel):
    """However steep the kernel is there; in float32 a slope of 1 / sqrt(eps) would drown the others in rounding."""
    x = matrix(4, 3, 0).repeat(2, 1)
    gradients = []
    for dtype in (torch.float64, torch.float32):
        for eps in (0.0, 1e-12):
            leaf = x.to(dtype).requires_grad_()
            weights = torch.arange(8, dtype=dtype)
            total = (affinity_sums(leaf, kernel, eps=eps) * weights).sum()
            gradients.append(torch.autograd.grad(total, leaf)[0])
    for gradient in gradients[1:]:
        assert_close(gradient.float(), gradients[0])


def test_unknown_kernels_and_divergences():
    x, sums = torch.ones(2, 3), torch.ones(2)
    with pytest.raises(ValueError, match=r"'kernel' must be one of \('dot', .*\), got 'laplacian'"):
        affinity_sums(x, "laplacian")
    with pytest.raises(ValueError, match=r"'divergence' must be one of \('kl', .*\), got 'js'"):
        affinity_divergence(x, x, sums, sums, "cosine", "js")
    with pytest.raises(ValueError, match=r"'teacher' must have as many rows as 'student' \(2\), got 1"):
        affinity_divergence(x, x[:1], sums, sums[:1], "cosine", "kl")
