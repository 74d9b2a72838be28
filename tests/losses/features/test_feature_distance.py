"""Distances of features: the formulas, one node at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest

from graphkd.losses import FeatureDistance, feature_distance
from graphkd.losses.features.feature_distance import feature_distance_method
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, assert_value, distance, dot, norm
from tests.losses.methods import problem
from tests.losses.scene import SAME_WIDTH

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


def test_three_methods():
    """One function under three names, each with its distance."""
    made = {
        each.name: list(each(problem()).parts())[1][1]
        for each in (feature_distance_method, *feature_distance_method.also)
    }
    assert {name: loss.metric for name, loss in made.items()} == {
        "feature_l1": "l1",
        "feature_l2": "l2",
        "feature_huber": "huber",
    }
    assert {loss.on for loss in made.values()} == {"logits"}


class TestFeatureDistance(Behaviour):
    cases: ClassVar = {
        metric: Case(partial(FeatureDistance, metric), at_teacher="zero", refused_width=SAME_WIDTH)
        for metric in METRICS
    }
