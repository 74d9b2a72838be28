"""Contrasts with sampled rows of a memory, by their definition: one anchor at a time."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import (
    sampled_logsumexp,
    sampled_softplus,
)
from graphkd.kernels.pairs import sampled
from tests.kernels.graphs import QUICK, assert_close, normal


def matrix(rows, width, seed=0):
    return normal(rows, width, dtype=torch.float64, seed=seed)


@QUICK
@given(held=st.sampled_from([1, 3, 60]), rows=st.integers(0, 5), samples=st.integers(1, 5), seed=st.integers(0, 99))
def test_sampled_logsumexp(held, rows, samples, seed):
    """From a bank that is small beside the sample, or large; it may change before backward."""
    anchor, memory = matrix(rows, 3, seed).requires_grad_(), matrix(held, 3, seed + 1)
    index = torch.randint(held, (rows, samples), generator=torch.Generator().manual_seed(seed))
    scores = [[2 * float(a @ memory[k]) for k in index[i]] for i, a in enumerate(anchor.detach())]
    totals = [sum(math.exp(score) for score in row) for row in scores]
    value = sampled_logsumexp(anchor, memory, index, 2.0)
    assert_close(value, torch.tensor([math.log(total) for total in totals], dtype=torch.float64))
    slope = torch.zeros(rows, 3, dtype=torch.float64)
    for i, row in enumerate(scores):
        for k, score in zip(index[i], row, strict=True):
            slope[i] += 2 * math.exp(score) / totals[i] * memory[k]
    memory.zero_()
    assert_close(torch.autograd.grad(value.sum(), anchor)[0], slope)


def test_what_sampled_logsumexp_refuses():
    none = torch.zeros(2, 0, dtype=torch.int64)
    with pytest.raises(ValueError, match="'index' must name one row of the memory at least, got 0 columns"):
        sampled_logsumexp(torch.zeros(2, 3), torch.zeros(2, 3), none)


@pytest.mark.parametrize(
    "kernel", [sampled_logsumexp, lambda a, b, index: sampled_softplus(a, b, index, torch.tensor(0.0))]
)
def test_widths_must_agree(kernel):
    with pytest.raises(ValueError, match=r"'memory' must be as wide as 'anchor' \(3\), got 4"):
        kernel(torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, 1, dtype=torch.int64))


@QUICK
@given(held=st.sampled_from([1, 3, 60]), rows=st.integers(0, 5), samples=st.integers(1, 5), seed=st.integers(0, 99))
def test_sampled_softplus(held, rows, samples, seed):
    """From a memory that is small beside the sample, or large."""
    anchor, memory = matrix(rows, 3, seed).requires_grad_(), matrix(held, 3, seed + 1)
    index = torch.randint(held, (rows, samples), generator=torch.Generator().manual_seed(seed))
    shift = torch.tensor(-0.7, dtype=torch.float64)
    scores = [[2 * float(a @ memory[k]) - 0.7 for k in index[i]] for i, a in enumerate(anchor.detach())]
    want = [sum(math.log(1 + math.exp(score)) for score in row) for row in scores]
    value = sampled_softplus(anchor, memory, index, shift, 2.0)
    assert_close(value, torch.tensor(want, dtype=torch.float64))
    slope = torch.zeros(rows, 3, dtype=torch.float64)
    for i, row in enumerate(scores):
        for k, score in zip(index[i], row, strict=True):
            slope[i] += 2 / (1 + math.exp(-score)) * memory[k]
    memory.zero_()  # it may change before backward
    assert_close(torch.autograd.grad(value.sum(), anchor)[0], slope)


def test_a_memory_is_constant():
    memory = matrix(4, 3, 1).requires_grad_()
    value = sampled_softplus(matrix(2, 3, 0), memory, torch.tensor([[0, 1], [2, 3]]), torch.tensor(0.0))
    assert not value.requires_grad


@pytest.mark.parametrize("held", [5, 100])
def test_blocks_do_not_show(held, monkeypatch):
    anchor, memory = matrix(7, 3).requires_grad_(), matrix(held, 3, 1)
    index = torch.arange(21).reshape(7, 3) % 5

    def results():
        for value in (
            sampled_softplus(anchor, memory, index, torch.tensor(0.3), 2.0),
            sampled_logsumexp(anchor, memory, index, 2.0),
        ):
            yield from (value.detach(), *torch.autograd.grad(value.square().sum(), anchor))

    whole = list(results())
    monkeypatch.setattr(sampled, "_GATHERED", 20)
    for got, want in zip(results(), whole, strict=True):
        assert_close(got, want)
