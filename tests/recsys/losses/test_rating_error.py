"""The errors of ratings against their formulas."""

from __future__ import annotations

import pytest
import torch

from recsys.losses import LearnedConfidence, RatingError
from recsys.losses.bridge import bridge
from recsys.losses.rating_error import rating_error
from tests.recsys.losses.ratings import ITEMS, B, entries, example, squared


def test_rating_error_divides_by_all_entries() -> None:
    student, _, ratings = example()
    want = sum(squared(float(ratings[u, i]), float(student[u, i])) for u, i in entries()) / 15
    assert float(rating_error(student, ratings)) == pytest.approx(want)
    assert float(RatingError()(student, ratings=ratings)) == pytest.approx(want)


def test_union_and_learned_confidences_weight_logged_entries() -> None:
    student, _, ratings = example()
    logged = torch.rand(B, ITEMS) < 0.5
    logged[0, 0] = True
    each = {(u, i): squared(float(ratings[u, i]), float(student[u, i])) for u, i in entries()}
    want = sum((0.3 if logged[u, i] else 1.0) * each[u, i] for u, i in entries()) / 15
    assert float(RatingError(0.3)(student, ratings=ratings, logged=logged)) == pytest.approx(want)
    loss = LearnedConfidence(7, ITEMS).double()
    users = torch.tensor([6, 0, 3])
    got = loss(student, ratings=ratings, logged=logged, entries=users)
    assert float(got.detach()) == pytest.approx(want)
    got.backward()
    slope = loss.table.grad
    assert slope is not None
    assert float(slope[6, 0]) == pytest.approx(each[0, 0] / 15)  # a squared error: confidences only fall
    assert not slope[~torch.isin(torch.arange(7), users)].any()
    loss.table.data[6, 0] = 1.7
    clipped = loss(student, ratings=ratings, logged=logged, entries=users)
    assert float((clipped - got).detach()) == pytest.approx(0.7 * each[0, 0] / 15)


def test_pairs_have_the_same_formulas() -> None:
    student, teacher, ratings = (each[0] for each in example())
    want = sum(squared(float(x), float(f)) for x, f in zip(ratings, student, strict=True)) / 5
    assert float(rating_error(student, ratings)) == pytest.approx(want)
    assert float(bridge(student, teacher)) == pytest.approx(float((student - teacher).square().mean()))
    confidence = LearnedConfidence(9)
    got = confidence(student, ratings=ratings, logged=torch.ones(5), entries=torch.arange(5))
    assert float(got.detach()) == pytest.approx(0.3 * want)


def test_other_shapes_are_named() -> None:
    student, _, ratings = example()
    logged = torch.ones(B, ITEMS + 1, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"\['logged', 'ratings', 'student'\] must have one shape"):
        RatingError(0.3)(student, ratings=ratings, logged=logged)
    with pytest.raises(ValueError, match=r"\['confidence', 'logged', 'ratings', 'student'\] must have one shape"):
        LearnedConfidence(7, ITEMS)(student, ratings=ratings, logged=logged, entries=torch.zeros(B, dtype=torch.long))
    with pytest.raises(ValueError, match=r"\['sampled', 'student', 'teacher'\] must have one shape"):
        bridge(student, student, logged)
