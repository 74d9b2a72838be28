"""Contrasts with rows of a memory that count, by their definition: one anchor and one row at a time."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import counted_logsumexp, counted_softplus, sampled_logsumexp, sampled_softplus
from graphkd.kernels.pairs import counted
from tests.kernels.graphs import QUICK, assert_close, normal

SHIFT = torch.tensor(-0.7, dtype=torch.float64)
KERNELS = {
    "logsumexp": lambda anchor, memory, counts: counted_logsumexp(anchor, memory, counts, 2.0),
    "softplus": lambda anchor, memory, counts: counted_softplus(anchor, memory, counts, SHIFT, 2.0),
}
each_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)


def matrix(rows, width, seed=0):
    return normal(rows, width, dtype=torch.float64, seed=seed)


def with_gradient(kernel, anchor, *others):
    anchor = anchor.detach().requires_grad_()
    value = kernel(anchor, *others)
    return value.detach(), torch.autograd.grad(value.cos().sum(), anchor)[0]


@QUICK
@given(held=st.integers(1, 6), rows=st.integers(0, 5), size=st.sampled_from([1.0, 40.0]), seed=st.integers(0, 99))
def test_by_loops(held, rows, size, seed):
    """The same to 1e-9 where scores are small or large; the memory may change before backward."""
    anchor, memory = matrix(rows, 3, seed).requires_grad_(), size * matrix(held, 3, seed + 1)
    counts = torch.randint(4, (rows, held), generator=torch.Generator().manual_seed(seed))
    counts[:, 0] += 1
    scores = [[2 * float(a @ m) for m in memory] for a in anchor.detach()]
    slopes = {name: torch.zeros(rows, 3, dtype=torch.float64) for name in KERNELS}
    values = {name: [] for name in KERNELS}
    for i, row in enumerate(scores):
        peak = max(score for score, count in zip(row, counts[i], strict=True) if count)
        total = sum(int(count) * math.exp(score - peak) for score, count in zip(row, counts[i], strict=True) if count)
        values["logsumexp"].append(peak + math.log(total))
        shifted = [score - 0.7 for score in row]
        plus = [max(s, 0) + math.log1p(math.exp(-abs(s))) for s in shifted]
        values["softplus"].append(sum(int(count) * one for count, one in zip(counts[i], plus, strict=True)))
        for count, score, m in zip(counts[i].tolist(), row, memory, strict=True):
            if count:
                slopes["logsumexp"][i] += 2 * count * math.exp(score - peak) / total * m
                slopes["softplus"][i] += 2 * count * torch.tensor(score - 0.7, dtype=torch.float64).sigmoid() * m
    known = memory.clone()
    for name, kernel in KERNELS.items():
        memory.copy_(known)
        value = kernel(anchor, memory, counts)
        memory.zero_()
        assert_close(value, torch.tensor(values[name], dtype=torch.float64))
        assert_close(torch.autograd.grad(value.sum(), anchor)[0], slopes[name])


@pytest.mark.parametrize("size", [1.0, 100.0])
def test_as_ids_that_are_repeated(size):
    """What gathering the same rows gives, to 1e-9 in float64."""
    anchor, memory = matrix(9, 5), size * matrix(11, 5, 1)
    index = torch.randint(11, (9, 40), generator=torch.Generator().manual_seed(0))
    counts = torch.zeros(9, 11).scatter_add_(1, index, torch.ones(9, 40))
    pairs = (
        (KERNELS["logsumexp"], lambda a, m, index: sampled_logsumexp(a, m, index, 2.0)),
        (KERNELS["softplus"], lambda a, m, index: sampled_softplus(a, m, index, SHIFT, 2.0)),
    )
    for ours, gathered in pairs:
        got, want = with_gradient(ours, anchor, memory, counts), with_gradient(gathered, anchor, memory, index)
        for one, other in zip(got, want, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@each_kernel
def test_blocks_do_not_show(kernel, monkeypatch):
    anchor, memory, counts = matrix(9, 5), matrix(11, 5, 1), torch.arange(99).reshape(9, 11) % 5
    whole = with_gradient(kernel, anchor, memory, counts)
    monkeypatch.setattr(counted, "_BLOCK", 22)
    monkeypatch.setattr(counted, "_ROWS", 1)
    for got, want in zip(with_gradient(kernel, anchor, memory, counts), whole, strict=True):
        assert_close(got, want)


@each_kernel
def test_both_forms_are_one(kernel, monkeypatch):
    """That for scores that cannot be large, and that for any."""
    anchor, memory, counts = matrix(9, 5), matrix(11, 5, 1), torch.arange(99).reshape(9, 11) % 5
    short = with_gradient(kernel, anchor, memory, counts)
    monkeypatch.setattr(counted, "_SAFE", 0.0)
    for got, want in zip(with_gradient(kernel, anchor, memory, counts), short, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)


def test_what_does_not_count_may_be_far_above():
    """In float32, by more than its exponentials bear."""
    memory = torch.tensor([[1000.0], [1.0], [-1.0]])
    value, slope = with_gradient(KERNELS["logsumexp"], torch.ones(1, 1), memory, torch.tensor([[0, 2, 1]]))
    want = math.log(2 * math.exp(2) + math.exp(-2))
    assert float(value) == pytest.approx(want)
    assert slope.isfinite().all()


@pytest.mark.parametrize("size", [1.0, 1000.0])
def test_nothing_counts(size):
    """Minus infinity and 0, without a gradient."""
    anchor, memory, counts = torch.ones(2, 1).requires_grad_(), torch.full((3, 1), size), torch.zeros(2, 3)
    value = counted_logsumexp(anchor, memory, counts)
    assert value.tolist() == [-math.inf, -math.inf]
    assert not torch.autograd.grad(value.sum(), anchor)[0].any()
    assert not counted_softplus(anchor, memory, counts, torch.tensor(0.0)).any()


@each_kernel
def test_constants(kernel):
    """Memory and counts have no gradient; without one of the anchor none is made."""
    memory, counts = matrix(4, 3, 1).requires_grad_(), torch.ones(2, 4).requires_grad_()
    assert not kernel(matrix(2, 3), memory, counts).requires_grad
    with torch.no_grad():
        quiet = kernel(matrix(2, 3).requires_grad_(), memory, counts)
    assert torch.equal(quiet, kernel(matrix(2, 3).requires_grad_(), memory, counts))


@each_kernel
def test_shapes_must_agree(kernel):
    with pytest.raises(ValueError, match=r"'memory' must be as wide as 'anchor' \(3\), got 4"):
        kernel(torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"'counts' must have as many rows as 'anchor' \(2\), got 3"):
        kernel(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="'counts' must have a column for each of the 2 rows of 'memory', got 3"):
        kernel(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3))
