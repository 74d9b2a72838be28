"""FedAUX: the certainty is the optimum of the objective as written, what noise does, and who counts where."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.schemes.federated import Received, certainty, gaussian_noise_std
from graphkd.schemes.federated.fedaux import rule
from tests.kernels.graphs import normal
from tests.schemes.federated.scene import apart, run

LOCAL = normal(6, 3, dtype=torch.float64, seed=1) + 0.5
PUBLIC = normal(8, 3, dtype=torch.float64, seed=2)


def objective(weight, bias, regularisation):
    rows = [*LOCAL.tolist(), *PUBLIC.tolist()]
    longest = max(sum(x * x for x in row) ** 0.5 for row in rows)
    total = sum(w * w for w in weight) / 2
    for i, row in enumerate(rows):
        margin = sum(w * x / longest for w, x in zip(weight, row, strict=True)) + bias
        total += math.log1p(math.exp(margin if i < 6 else -margin)) / regularisation
    return total


@pytest.mark.parametrize("regularisation", [0.01, 1.0])
def test_the_optimum(regularisation):
    """No step in any direction from it goes down; the objective is convex."""
    model = certainty(LOCAL, PUBLIC, regularisation)
    weight, bias = model.weight.tolist(), float(model.bias)
    least = objective(weight, bias, regularisation)
    for d in range(4):
        for step in (1e-4, -1e-4):
            moved = [w + step * (d == k) for k, w in enumerate(weight)]
            assert objective(moved, bias + step * (d == 3), regularisation) > least


def test_scores():
    model = certainty(LOCAL, PUBLIC, 0.01)
    longest = max(float(row.norm()) for row in [*LOCAL, *PUBLIC])
    for row, score in zip(PUBLIC, model.scores(PUBLIC), strict=True):
        margin = sum(float(w * x) / longest for w, x in zip(model.weight, row, strict=True)) + float(model.bias)
        assert float(score) == pytest.approx(1 / (1 + math.exp(margin)) + 1e-8, rel=1e-12)
    assert model.scores(LOCAL).mean() > model.scores(PUBLIC).mean()


def test_separable_rows_have_an_optimum_too():
    model = certainty(LOCAL + 20, PUBLIC - 20, 1e-4)
    assert model.weight.isfinite().all()
    assert (model.scores(LOCAL + 20) > 0.99).all()
    assert (model.scores(PUBLIC - 20) < 0.01).all()


def test_noise():
    model = certainty(LOCAL, PUBLIC)
    std = gaussian_noise_std(14, 0.01, 0.1, 1e-5)
    assert std == pytest.approx(math.sqrt(2 * math.log(1.25e5)) * 2 / 0.14 / 0.1)
    noise, one = torch.tensor([1.0, -2.0, 0.5]).double(), torch.ones(1).double()
    noised = model.noised(noise, one, 0.1)
    torch.testing.assert_close(noised.weight, model.weight + 0.1 * noise)
    torch.testing.assert_close(noised.bias, model.bias + 0.1 * one)


@pytest.mark.parametrize(
    ("local", "public", "message"),
    [
        (LOCAL, PUBLIC[:, :2], r"'public' must be as wide as 'local', got \(6, 3\) and \(8, 2\)"),
        (LOCAL[:0], PUBLIC, "'local' and 'public' must have a row each, got 0 and 8"),
    ],
)
def test_refusals(local, public, message):
    with pytest.raises(ValueError, match=message):
        certainty(local, public)


def test_a_client_counts_where_it_is_certain():
    answers = torch.stack([torch.zeros(2, 3), torch.ones(2, 3).cumsum(dim=1)])
    messages = [{"certainty": torch.tensor([1.0, 0.0])}, {"certainty": torch.tensor([0.0, 1.0])}]
    target = rule().fuse(Received(answers, messages, None))
    torch.testing.assert_close(target, torch.stack([answers[0, 0], answers[1, 1]]))


def test_it_is_feddf_with_other_weights():
    one, other = run("fedaux", rounds=1).model, run("feddf", rounds=1).model
    assert 1e-5 < apart(one, other) < 1
