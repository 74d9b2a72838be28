"""Ratings with a uniform sample: what is taken at the door, and how models are judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recsys.evaluate.clicks import quality
from recsys.models.ratings import rated, rating_logits
from recsys.tasks import UniformRatings
from tests.methods import recommenders


@pytest.mark.parametrize("make", [recommenders.factors, recommenders.autoencoder])
def test_models_are_judged_on_uniform_ratings(make):
    split, model, task = recommenders.ratings(), make(0), UniformRatings()
    for part, pairs in (("val", split.valid), ("test", split.test)):
        logged = split.logged_rows if make is recommenders.autoencoder else None
        want = quality(rating_logits(rated(model, pairs, logged)), pairs.values > 0)
        assert task.score(model, split, part) == want
    assert list(task.progress(model, split)) == ["auc"]


def test_ratings_are_likes_and_dislikes():
    split = recommenders.ratings()
    stars = split.logged._replace(values=3 * split.logged.values)
    with pytest.raises(ValueError, match=r"'logged' must hold ratings of -1 \(disliked\) and 1 \(liked\), got"):
        UniformRatings().prepare(replace(split, logged=stars))
    with pytest.raises(TypeError, match=r"ratings with a uniform sample are a recsys.data.ratings.UniformSplit"):
        UniformRatings().prepare(split.logged)
