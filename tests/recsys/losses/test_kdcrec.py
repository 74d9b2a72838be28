"""KDCRec's losses against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recsys.losses import (
    Bridge,
    CausalPull,
    Decay,
    LearnedConfidence,
    RatingError,
    Refine,
    SoftLabels,
    bridge,
    half_squares,
    rating_error,
    refined_ratings,
    soft_label_error,
)

B, ITEMS = 3, 5


def example() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, B, ITEMS, dtype=torch.float64, generator=generator)
    ratings = torch.randint(-1, 2, (B, ITEMS), generator=generator).double()
    ratings[0, 0], ratings[0, 1] = 1, 0
    return student, teacher, ratings


def entries() -> list[tuple[int, int]]:
    return [(u, i) for u in range(B) for i in range(ITEMS)]


def squared(x: float, f: float) -> float:
    return (x - f) ** 2 if x else 0.0


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


def test_bridge_keeps_the_zeros_in_its_mean() -> None:
    student, teacher, _ = example()
    coin = (torch.arange(15) % 2).view(B, ITEMS).double()
    want = sum(float(coin[u, i]) * float(student[u, i] - teacher[u, i]) ** 2 for u, i in entries()) / 15
    assert float(Bridge()(student, teacher, sampled=coin)) == pytest.approx(want)


def test_refined_labels_are_scaled_by_row_with_unobserved_zeros() -> None:
    student, teacher, ratings = example()
    total = 0.0
    refined = refined_ratings(ratings, teacher, 0.2)
    for u in range(B):
        masked = [float(teacher[u, i]) if ratings[u, i] else 0.0 for i in range(ITEMS)]
        for i in range(ITEMS):
            label = float(ratings[u, i]) + 0.2 * (masked[i] - min(masked)) / (max(masked) - min(masked))
            assert float(refined[u, i]) == pytest.approx(label)
            total += (label - (float(student[u, i]) if ratings[u, i] else 0.0)) ** 2
    assert float(Refine(0.2)(student, teacher, ratings=ratings)) == pytest.approx(total / 15)
    assert torch.equal(refined_ratings(torch.zeros(2, 3), torch.randn(2, 3)), torch.zeros(2, 3))


def test_soft_labels() -> None:
    student, teacher, _ = example()
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p, q = ([math.exp(x / 5) / sum(math.exp(z / 5) for z in row) for x in row] for row in (s, t))
        total += sum((a - b) ** 2 for a, b in zip(p, q, strict=True))
    assert float(soft_label_error(student, teacher)) == pytest.approx(total / 15)
    assert float(SoftLabels(5.0)(student, teacher)) == pytest.approx(total / 15)


def test_causal_pull_moves_items_alone() -> None:
    item, copy = torch.randn(2, 4, 3, dtype=torch.float64)
    item.requires_grad_()
    copy.requires_grad_()
    value = CausalPull()((item, copy))
    want = sum(abs(a - b) for p, q in zip(item.tolist(), copy.tolist(), strict=True) for a, b in zip(p, q, strict=True))
    assert float(value.detach()) == pytest.approx(want / 4)
    value.backward()
    assert item.grad is not None
    assert copy.grad is None


def test_half_squares_and_decay() -> None:
    parts = torch.tensor([[1.0, 2.0]]), torch.tensor([3.0])
    assert float(half_squares(*parts)) == 7.0
    assert float(Decay()(half_squares(*parts))) == 7.0


@pytest.mark.parametrize(
    "loss",
    [
        lambda s, t, x: rating_error(s, x),
        lambda s, t, x: bridge(s, t),
        lambda s, t, x: Refine()(s, t, ratings=x),
        lambda s, t, x: soft_label_error(s, t),
    ],
)
def test_gradients_and_empty_batches(loss) -> None:  # type: ignore[no-untyped-def]
    student, teacher, ratings = example()
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, ratings), student.requires_grad_())
    nothing = torch.zeros(0, ITEMS)
    assert float(loss(nothing, nothing, nothing)) == 0


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"must have one shape, got .*\(3, 5\).*\(3, 4\)"):
        rating_error(torch.zeros(3, 5), torch.zeros(3, 4))
    with pytest.raises(ValueError, match="'confidence' must be above 0, at most 1, got 0"):
        RatingError(0)
    with pytest.raises(ValueError, match="'temperature' must be positive, got 0"):
        SoftLabels(0)
