"""The moments accountant, one query at a time."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.schemes import log_moments, privacy_spent, wrong_vote_bound

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


def program(q, gamma, order):
    """The authors' program, which asks q < 1/2."""
    e = 2 * gamma
    found = [e * e * order * (order + 1) / 2, e * order]
    if q < 0.5:
        value = (1 - q) * ((1 - q) / (1 - math.exp(e) * q)) ** order + q * math.exp(e * order)
        found.append(math.log(value) if value > 0 else e * order)
    return min(found)


@pytest.mark.parametrize("gamma", [0.05, 0.34, 0.6, 0.7, 1.5])
def test_accountant_as_the_authors_program_has_it(gamma):
    counts = torch.cat([COUNTS, torch.tensor([[5.0, 4.0, 0.0], [3.0, 1.0, 1.0], [6.0, 3.0, 2.0]]).double()])
    q = [bound(row.tolist(), gamma) for row in counts]
    found = log_moments(counts, gamma, 6, limit="code")
    for i, order in ((i, order) for i in range(len(q)) for order in range(1, 7)):
        assert float(found[i, order - 1]) == pytest.approx(program(q[i], gamma, order), rel=1e-7, abs=1e-14)
    spent = [privacy_spent(counts, gamma, moments=6, limit=limit).epsilon for limit in ("theorem", "code")]
    assert (spent[0] == spent[1]) == (gamma < math.log(2) / 2)


def test_the_theorem_holds_where_the_program_fails():
    """Randomised response: 2 gamma private, another answer with a probability below q, moments known in closed form."""
    for gamma in (0.2, 0.5, 0.7, 1.0):
        a = math.exp(2 * gamma)
        likely, other = a / (1 + a), 1 / (1 + a)
        for counts in torch.arange(1.0, 9.0).double()[:, None] * torch.tensor([[1.0, 0.0]]).double():
            if bound(counts.tolist(), gamma) < other:
                continue  # it is less sure than the theorem's vote
            true = [math.log(likely * a**order + other * a**-order) for order in range(1, 7)]
            found = log_moments(counts[None], gamma, 6)[0]
            assert all(value >= want - 1e-12 for value, want in zip(found.tolist(), true, strict=True))
    lead = torch.tensor([[1.0, 0.0]]).double()
    assert float(log_moments(lead, 0.7, 1, limit="code")) == pytest.approx(-2.0, abs=0.1)
    assert float(log_moments(lead, 0.7, 1)) == pytest.approx(1.4)


@pytest.mark.parametrize("limit", ["theorem", "code"])
def test_noise_that_hides_nothing_has_the_plain_cost(limit):
    assert log_moments(COUNTS, 1e3, 2, limit=limit).tolist() == [[2e3, 4e3]] * 3


def test_without_the_votes_the_cost_is_that_of_any_votes():
    for gamma in (0.05, 0.5):
        e = 2 * gamma
        each = [(3 * min(e * e * order * (order + 1) / 2, e * order) - math.log(1e-5)) / order for order in range(1, 9)]
        spent = privacy_spent(torch.zeros_like(COUNTS), gamma)
        assert spent.epsilon == pytest.approx(min(each), rel=1e-12)
        assert spent.epsilon >= privacy_spent(COUNTS, gamma).epsilon


def test_agreement_costs_less_than_doubt():
    sure, unsure = (privacy_spent(COUNTS[[row]].repeat(50, 1)).epsilon for row in (2, 1))
    assert sure < unsure / 2


def test_no_query_costs_what_delta_does():
    assert privacy_spent(COUNTS[:0]).epsilon == pytest.approx(-math.log(1e-5) / 8)


def test_wrong_accounts():
    with pytest.raises(ValueError, match="'limit' must be one of"):
        log_moments(COUNTS, limit="paper")
    with pytest.raises(ValueError, match=r"'delta' must be in \(0, 1\), got 1.0"):
        privacy_spent(COUNTS, delta=1.0)
