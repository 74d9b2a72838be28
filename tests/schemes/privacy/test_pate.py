"""PATE: votes, the moments accountant one query at a time, the law of the noise, and a student of noisy votes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from graphkd.schemes.augment import changed
from graphkd.schemes.private import log_moments, noisy_votes, pate, privacy_spent, private_teachers, wrong_vote_bound
from graphkd.tasks import accuracy

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


def test_votes():
    teachers = torch.tensor([[[2.0, 1.0], [0.0, 1.0]], [[3.0, 1.0], [0.0, 2.0]], [[0.0, 1.0], [5.0, 1.0]]])
    silent = noisy_votes(teachers, noise=torch.zeros(2, 2))
    assert silent.counts.tolist() == [[2, 1], [1, 2]]
    assert silent.labels.tolist() == [0, 1]
    loud = noisy_votes(teachers, noise=torch.tensor([[0.0, 1.5], [0.0, 0.0]]))
    assert loud.labels.tolist() == [1, 1]
    draws = [noisy_votes(teachers, generator=torch.Generator().manual_seed(4)).labels for _ in range(2)]
    assert torch.equal(*draws)


def test_noise_comes_from_its_generator_alone():
    teachers = torch.zeros(1, 500, 4)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = noisy_votes(teachers, generator=torch.Generator().manual_seed(4)).labels
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    assert torch.equal(noisy_votes(teachers, generator=torch.Generator().manual_seed(4)).labels, first)
    assert not torch.equal(noisy_votes(teachers, generator=torch.Generator().manual_seed(5)).labels, first)


def blobs(rows, seed):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(rows) % 3
    x = torch.eye(3)[y] + 0.3 * torch.randn(rows, 3, generator=generator)
    everywhere = torch.ones(rows, dtype=torch.bool)
    return {"x": x, "y": y, "train_mask": everywhere, "query_mask": torch.arange(rows) < 40, "test_mask": everywhere}


class Linear(nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x)


def test_a_student_of_noisy_votes():
    parts = [blobs(15, seed) for seed in range(1, 21)]
    teachers = private_teachers([Linear(k) for k in range(20)], parts, epochs=60, progress=False)
    public = blobs(120, 0)
    hidden = changed(public, y=torch.full_like(public["y"], 99))  # the student never reads them
    options = {"epochs": 60, "progress": False, "delta": 1e-4}
    found = pate(Linear(50), teachers, hidden, gamma=0.5, generator=torch.Generator().manual_seed(0), **options)
    assert found.votes.counts.shape == (40, 3)
    assert found.votes.counts.sum(dim=1).unique().tolist() == [20.0]
    assert found.privacy.epsilon == privacy_spent(found.votes.counts, 0.5, delta=1e-4).epsilon
    assert accuracy(found.student, public) > 0.9
    deaf = pate(Linear(50), teachers, hidden, gamma=1e-6, generator=torch.Generator().manual_seed(0), **options)
    assert accuracy(deaf.student, public) < 0.7
    assert deaf.privacy.epsilon < found.privacy.epsilon
    with pytest.raises(ValueError, match="'parts' must hold one for each of the 2 models, got 1"):
        private_teachers(teachers[:2], parts[:1], epochs=1)


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
    with pytest.raises(ValueError, match="'limit' must be one of"):
        log_moments(COUNTS, limit="paper")
    with pytest.raises(ValueError, match=r"'delta' must be in \(0, 1\), got 1.0"):
        privacy_spent(COUNTS, delta=1.0)
