"""Cronus: one client that lies moves the target little."""

from __future__ import annotations

import pytest
import torch

from graphkd.schemes.federated import Received, filtered_mean
from graphkd.schemes.federated.cronus import rule
from tests.schemes.federated.answers import TEACHERS
from tests.schemes.federated.scene import run


@pytest.mark.parametrize("estimator", ["filter", "trim"])
def test_a_liar_is_left_out(estimator):
    answers, fuse = TEACHERS.float(), rule(1, estimator).fuse
    honest = fuse(Received(torch.stack([answers[0]] * 3), [], None))
    lied = fuse(Received(torch.stack([answers[0], answers[0], 50 * answers[1]]), [], None))
    torch.testing.assert_close(lied, honest)
    torch.testing.assert_close(honest.exp(), answers[0].softmax(dim=-1))


def test_the_filter_is_as_written():
    """A row at a time: the top direction by power steps, weights lost by squared distances, until two are lost."""
    answers = torch.stack([*TEACHERS, *TEACHERS.roll(1, dims=2)]).softmax(dim=-1)
    found = filtered_mean(answers, 2)
    for i in range(5):
        weights, rows = [1.0] * 6, answers[:, i]
        while 6 - sum(weights) < 2 - 1e-6:
            mean = sum(w * row for w, row in zip(weights, rows, strict=True)) / sum(weights)
            far = rows - mean
            spread = sum(w * torch.outer(x, x) for w, x in zip(weights, far, strict=True))
            direction = torch.tensor([1.0, 0.3, -0.6], dtype=torch.float64)
            for _ in range(3000):
                direction = spread @ direction
                direction = direction / direction.norm()
            scores = [float(x @ direction) ** 2 if w > 0 else 0.0 for w, x in zip(weights, far, strict=True)]
            share = min(1.0, (4 - 6 + sum(weights)) * max(scores) / sum(scores))  # at most four in all
            weights = [w * (1 - share * score / max(scores)) for w, score in zip(weights, scores, strict=True)]
        want = sum(w * row for w, row in zip(weights, rows, strict=True)) / sum(weights)
        torch.testing.assert_close(found[i], want, atol=1e-6, rtol=0)


def test_clients_that_agree_are_all_taken():
    answers = TEACHERS[:1].repeat(5, 1, 1)
    torch.testing.assert_close(filtered_mean(answers, 2), TEACHERS[0])


def test_two_against_two_lose_alike():
    halves = TEACHERS[[0, 0, 1, 1]].softmax(dim=-1)
    torch.testing.assert_close(filtered_mean(halves, 1), halves.mean(dim=0))


def test_there_must_be_enough_clients():
    with pytest.raises(ValueError, match="'liars' must be less than half of 3 teachers, got 2"):
        run("cronus", liars=2)
    with pytest.raises(ValueError, match="'trim' must leave one of 3 teachers, got 2"):
        run("cronus", liars=2, estimator="trim")
    with pytest.raises(ValueError, match="'estimator' must be one of"):
        run("cronus", estimator="mean")
    assert len(run("cronus", mixed=True).model.models) == 3
