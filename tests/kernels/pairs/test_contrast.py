"""The streamed log-sum-exp and InfoNCE, by their definition: one anchor at a time."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import infonce, label_divergence, product_logsumexp, product_softplus
from graphkd.kernels.pairs import contrast
from tests.kernels.graphs import QUICK, assert_close, normal


def matrix(rows, width, seed):
    return normal(rows, width, dtype=torch.float64, seed=seed)


@QUICK
@given(rows=st.integers(0, 6), columns=st.integers(1, 6), width=st.integers(1, 5), seed=st.integers(0, 99))
def test_product_logsumexp(rows, columns, width, seed):
    anchor, candidate = matrix(rows, width, seed), matrix(columns, width, seed + 1)
    want = [math.log(sum(math.exp(3.0 * float(a @ b)) for b in candidate)) for a in anchor]
    assert_close(product_logsumexp(anchor, candidate, 3.0), torch.tensor(want, dtype=torch.float64))


@QUICK
@given(rows=st.integers(1, 5), more=st.integers(0, 3), seed=st.integers(0, 99))
def test_infonce(rows, more, seed):
    """Candidates beyond the anchors are negatives for all."""
    anchor, candidate = matrix(rows, 4, seed), matrix(rows + more, 4, seed + 1)
    want = []
    for i in range(rows):
        scores = [math.exp(float(anchor[i] @ b) / 0.2) for b in candidate]
        want.append(-math.log(scores[i] / sum(scores)))
    assert_close(infonce(anchor, candidate, 0.2), torch.tensor(want, dtype=torch.float64))


def test_blocks_do_not_show(monkeypatch):
    anchor, candidate = matrix(7, 3, 0).requires_grad_(), matrix(5, 3, 1).requires_grad_()

    def results():
        value = product_logsumexp(anchor, candidate, 2.0)
        return value.detach(), *torch.autograd.grad(value.square().sum(), (anchor, candidate))

    whole = results()
    monkeypatch.setattr(contrast, "_BLOCK_ELEMENTS", 11)
    for got, want in zip(results(), whole, strict=True):
        assert_close(got, want)


# ---------------------------------------------------------------- softplus of others; divergence of labels
@QUICK
@given(rows=st.integers(1, 5), more=st.integers(0, 3), seed=st.integers(0, 99))
def test_product_softplus(rows, more, seed):
    """Every candidate but the anchor's own."""
    anchor, candidate = matrix(rows, 3, seed), matrix(rows + more, 3, seed + 1)
    own = [(2 * i + seed) % (rows + more) for i in range(rows)]
    want = [
        sum(math.log(1 + math.exp(3 * float(anchor[i] @ b))) for j, b in enumerate(candidate) if j != own[i])
        for i in range(rows)
    ]
    got = product_softplus(anchor, candidate, torch.tensor(own), 3.0)
    assert_close(got, torch.tensor(want, dtype=torch.float64))


@QUICK
@given(rows=st.integers(1, 6), seed=st.integers(0, 99))
def test_label_divergence(rows, seed):
    anchor, candidate = matrix(rows, 3, seed), matrix(rows, 3, seed + 1)
    y = torch.randint(3, (rows,), generator=torch.Generator().manual_seed(seed))
    hit = -matrix(rows, 1, seed + 2)[:, 0].abs()
    want = []
    for i in range(rows):
        weights = [math.exp(float(anchor[i] @ b)) for b in candidate]
        p = [weight / sum(weights) for weight in weights]
        want.append(sum(p[j] * (math.log(p[j]) - (float(hit[i]) if y[i] == y[j] else -5.0)) for j in range(rows)))
    assert_close(label_divergence(anchor, candidate, y, hit, -5.0), torch.tensor(want, dtype=torch.float64))


def test_blocks_of_the_others_do_not_show(monkeypatch):
    anchor, candidate = matrix(7, 3, 0).requires_grad_(), matrix(7, 3, 1).requires_grad_()
    y = torch.arange(7) % 3
    ways = (
        lambda: product_softplus(anchor, candidate, y, 2.0),
        lambda: label_divergence(anchor, candidate, y, anchor.detach()[:, 0], -3.0),
    )

    def results():
        for way in ways:
            value = way()
            yield from (value.detach(), *torch.autograd.grad(value.square().sum(), (anchor, candidate)))

    whole = list(results())
    monkeypatch.setattr(contrast, "_BLOCK_ELEMENTS", 15)
    for got, want in zip(results(), whole, strict=True):
        assert_close(got, want)


def test_large_scores_of_others_stay_finite():
    anchor = torch.full((3, 2), 30.0, requires_grad=True)
    candidate = anchor.detach() * torch.tensor([[1.0], [-1.0], [2.0]])
    values = (
        product_softplus(anchor, candidate, torch.arange(3)),
        label_divergence(anchor, candidate, torch.tensor([0, 1, 0]), torch.zeros(3), -18.0),
    )
    for value in values:
        assert value.isfinite().all()
        assert torch.autograd.grad(value.sum(), anchor)[0].isfinite().all()


# ---------------------------------------------------------------- what holds for all
def test_order_of_candidates_does_not_matter():
    anchor, candidate = matrix(4, 3, 0), matrix(6, 3, 1)
    assert_close(product_logsumexp(anchor, candidate.flip(0)), product_logsumexp(anchor, candidate))


def test_large_scores_stay_finite():
    anchor = torch.full((3, 2), 100.0, requires_grad=True)
    value = infonce(anchor, anchor.detach() * torch.tensor([[1.0], [-1.0], [2.0]]), 0.01)
    assert value.isfinite().all()
    assert torch.autograd.grad(value.sum(), anchor)[0].isfinite().all()


def test_no_candidates():
    assert product_logsumexp(torch.zeros(2, 3), torch.zeros(0, 3)).tolist() == [-math.inf, -math.inf]


def test_widths_must_agree():
    with pytest.raises(ValueError, match=r"'candidate' must be as wide as 'anchor' \(3\), got 4"):
        product_logsumexp(torch.zeros(2, 3), torch.zeros(2, 4))
