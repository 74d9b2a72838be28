"""The survey's objective, its three terms beside each other."""

from __future__ import annotations

import pytest

from graphkd.losses import KL, FeatureDistance, cross_entropy, feature_distance, survey_objective
from tests.losses.example import LABELS, STUDENT, TEACHER, assert_value


def test_survey_objective():
    objective = survey_objective(FeatureDistance("l1", on="logits"), (0.5, 0.3, 0.2), 2.0)
    want = 0.5 * cross_entropy(STUDENT, LABELS) + 0.3 * KL(2.0, rescale=False)(STUDENT, TEACHER)
    want = want + 0.2 * feature_distance(STUDENT, TEACHER, "l1")
    assert_value(objective(STUDENT, TEACHER, y=LABELS), float(want))
    with pytest.raises(ValueError, match=r"'weights' must be 0 at least and sum to 1, got \(0.5, 0.5, 0.5\)"):
        survey_objective(FeatureDistance(), (0.5, 0.5, 0.5))
