"""PATE: votes, the moments accountant one query at a time, and the law of the noise."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.schemes.private import log_moments, noisy_votes, privacy_spent, wrong_vote_bound

COUNTS = torch.tensor([[180.0, 15.0, 5.0], [70.0, 66.0, 64.0], [0.0, 200.0, 0.0]], dtype=torch.float64)


def bound(counts, gamma):
    winner = max(range(len(counts)), key=lambda c: counts[c])
    gaps = [gamma * (counts[winner] - counts[c]) for c in range(len(counts)) if c != winner]
    return min(sum((2 + gap) / (4 * math.exp(gap)) for gap in gaps), 1 - 1 / len(counts))


def moment(q, gamma, order, form="theorem"):
    e = 2 * gamma
    found = [e * e * order * (order + 1) / 2, e * order]
    if q < (1 / (1 + math.exp(e)) if form == "theorem" else 0.5):
        value = (1 - q) * ((1 - q) / (1 - math.exp(e) * q)) ** order + q * math.exp(e * order)
        found += [math.log(value)] if value > 0 else []
    return min(found)


@pytest.mark.parametrize("gamma", [0.05, 0.1, 0.5])
def test_accountant(gamma):
    q = [bound(row.tolist(), gamma) for row in COUNTS]
    assert wrong_vote_bound(COUNTS, gamma).tolist() == pytest.approx(q, rel=1e-9, abs=1e-15)
    found = log_moments(COUNTS, gamma, 6)
    for i, order in ((i, order) for i in range(3) for order in range(1, 7)):
        assert float(found[i, order - 1]) == pytest.approx(moment(q[i], gamma, order), rel=1e-7, abs=1e-14)
    sums = [sum(moment(q[i], gamma, order) for i in range(3)) for order in range(1, 7)]
    each = [(total - math.log(1e-6)) / order for order, total in enumerate(sums, start=1)]
    spent = privacy_spent(COUNTS, gamma, delta=1e-6, moments=6)
    assert spent.each.tolist() == pytest.approx(each, rel=1e-9)
    assert spent.epsilon == pytest.approx(min(each), rel=1e-9)
    assert each[spent.order - 1] == min(each)


@pytest.mark.parametrize("gamma", [0.1, 0.3, 0.5, 0.8])
def test_the_authors_accountant(gamma):
    counts = torch.tensor([[7.0, second, third] for second in range(8) for third in range(8)], dtype=torch.float64)
    q = [bound(row.tolist(), gamma) for row in counts]
    each = [[moment(one, gamma, order, "code") for order in range(1, 9)] for one in q]
    found = log_moments(counts, gamma, form="code")
    torch.testing.assert_close(found, torch.tensor(each, dtype=torch.float64), rtol=1e-7, atol=1e-14)
    assert bool((found < log_moments(counts, gamma) - 1e-9).any()) == (gamma > 0.34)
    spent = privacy_spent(counts, gamma, form="code")
    sums = [sum(row[order - 1] for row in each) for order in range(1, 9)]
    assert spent.epsilon == pytest.approx(min((s - math.log(1e-5)) / order for order, s in enumerate(sums, start=1)))


def test_agreement_costs_less_than_doubt():
    sure, unsure = (privacy_spent(COUNTS[[row]].repeat(50, 1)).epsilon for row in (2, 1))
    assert sure < unsure / 2


def test_no_query_costs_what_delta_does():
    assert privacy_spent(COUNTS[:0]).epsilon == pytest.approx(-math.log(1e-5) / 8)


def test_votes():
    teachers = torch.tensor([[[2.0, 1.0], [0.0, 1.0]], [[3.0, 1.0], [0.0, 2.0]], [[0.0, 1.0], [5.0, 1.0]]])
    silent = noisy_votes(teachers, noise=torch.zeros(2, 2))
    assert silent.counts.tolist() == [[2, 1], [1, 2]]
    assert silent.labels.tolist() == [0, 1]
    loud = noisy_votes(teachers, noise=torch.tensor([[0.0, 1.5], [0.0, 0.0]]))
    assert loud.labels.tolist() == [1, 1]
    draws = [noisy_votes(teachers, generator=torch.Generator().manual_seed(4)).labels for _ in range(2)]
    assert torch.equal(*draws)


def test_noise_is_laplace():
    """Two classes, one vote apart: the chance of the wrong winner is (2 + g) / 4 exp(-g), which is also the bound."""
    gamma, rows = 0.8, 40_000
    teacher = torch.tensor([[[1.0, 0.0]]]).expand(1, rows, 2)
    labels = noisy_votes(teacher, gamma, generator=torch.Generator().manual_seed(0)).labels
    want = (2 + gamma) / (4 * math.exp(gamma))
    assert float(labels.double().mean()) == pytest.approx(want, abs=4 * math.sqrt(want * (1 - want) / rows))
    assert float(wrong_vote_bound(torch.tensor([[1.0, 0.0]]), gamma)) == pytest.approx(want, rel=1e-6)


def test_errors():
    teacher = torch.zeros(1, 2, 2)
    for options, message in (
        ({}, "'generator' must be a seeded torch.Generator"),
        ({"noise": torch.zeros(3, 2)}, r"'noise' must have shape \(2, 2\), got \(3, 2\)"),
        ({"gamma": 0.0}, "'gamma' must be positive, got 0.0"),
    ):
        with pytest.raises(ValueError, match=message):
            noisy_votes(teacher, **options)
    with pytest.raises(ValueError, match="'form' must be one of"):
        log_moments(COUNTS, form="paper")
    with pytest.raises(ValueError, match=r"'delta' must be in \(0, 1\), got 1.0"):
        privacy_spent(COUNTS, delta=1.0)
