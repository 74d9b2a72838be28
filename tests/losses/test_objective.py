"""The survey's objective and distances: the formulas, one node or triplet at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import (
    KL,
    FeatureDistance,
    TripletOrder,
    cross_entropy,
    feature_distance,
    survey_objective,
    triplet_hinge,
    triplet_order,
)
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot, norm
from tests.losses.test_response import WIDTH


def distance(one, other):
    return norm([float(a) - float(b) for a, b in zip(one, other, strict=True)])


METRICS = {
    "l1": lambda s, t: sum(abs(float(a) - float(b)) for a, b in zip(s, t, strict=True)),
    "l2": lambda s, t: distance(s, t) ** 2,
    "cosine": lambda s, t: 1 - dot(s, t) / (norm(s) * norm(t)),
    "huber": lambda s, t: sum(
        gap * gap / 2 if gap < 1 else gap - 0.5 for gap in (abs(float(a) - float(b)) for a, b in zip(s, t, strict=True))
    ),
}


@pytest.mark.parametrize("metric", METRICS)
def test_feature_distance(metric):
    want = sum(METRICS[metric](STUDENT[i], TEACHER[i]) for i in NODES) / 5
    assert_value(feature_distance(STUDENT, TEACHER, metric), want)
    assert_value(FeatureDistance(metric)(STUDENT, TEACHER), want)


def test_unknown_metric():
    with pytest.raises(ValueError, match=r"'metric' must be one of \('l1', 'l2', 'cosine', 'huber'\), got 'l3'"):
        FeatureDistance("l3")


def test_survey_objective():
    objective = survey_objective(FeatureDistance("l1", on="logits"), (0.5, 0.3, 0.2), 2.0)
    want = 0.5 * cross_entropy(STUDENT, LABELS) + 0.3 * KL(2.0, rescale=False)(STUDENT, TEACHER)
    want = want + 0.2 * feature_distance(STUDENT, TEACHER, "l1")
    assert_value(objective(STUDENT, TEACHER, y=LABELS), float(want))
    with pytest.raises(ValueError, match=r"'weights' must be 0 at least and sum to 1, got \(0.5, 0.5, 0.5\)"):
        survey_objective(FeatureDistance(), (0.5, 0.5, 0.5))


@pytest.mark.parametrize("margin", [0.0, 0.2, 3.0])
def test_triplet_hinge(margin):
    negative = TEACHER.flip(0)
    want = sum(max(0.0, distance(STUDENT[i], TEACHER[i]) - distance(STUDENT[i], negative[i]) + margin) for i in NODES)
    assert_value(triplet_hinge(STUDENT, TEACHER, negative, margin), want / 5)


@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_triplet_order(margin):
    hinges = []
    for a in NODES:
        for near in NODES:
            for far in NODES:
                different = len({a, near, far}) == 3
                ordered = distance(WIDE_TEACHER[a], WIDE_TEACHER[near]) < distance(WIDE_TEACHER[a], WIDE_TEACHER[far])
                if different and ordered:
                    gap = distance(STUDENT[a], STUDENT[near]) - distance(STUDENT[a], STUDENT[far])
                    hinges.append(max(0.0, gap + margin))
    assert len(hinges) == 5 * 6
    assert_value(triplet_order(STUDENT, WIDE_TEACHER, margin), sum(hinges) / len(hinges))
    assert_value(TripletOrder(margin)(STUDENT, WIDE_TEACHER), sum(hinges) / len(hinges))


def test_ties_do_not_count():
    assert triplet_order(STUDENT, torch.ones_like(TEACHER)) == 0


def test_triplets_of_some_rows():
    """Three drawn rows make three triplets, of which each has its mirror left out."""
    torch.manual_seed(0)
    rows = torch.randperm(5)[:3]
    torch.manual_seed(0)
    got = triplet_order(STUDENT, TEACHER, max_samples=3)
    torch.testing.assert_close(got, triplet_order(STUDENT[rows], TEACHER[rows]))


class TestObjective(Behaviour):
    cases: ClassVar = {
        **{
            f"FeatureDistance_{metric}": Case(
                partial(FeatureDistance, metric),
                at_teacher="zero",
                refused_width=WIDTH,
            )
            for metric in METRICS
        },
        "TripletOrder": Case(TripletOrder, widths=(3, 4)),
    }
