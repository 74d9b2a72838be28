"""KDCRec's refined labels against their formula."""

from __future__ import annotations

import pytest
import torch

from recsys.losses import Refine
from recsys.losses.refine import refined_ratings
from tests.recsys.losses.ratings import ITEMS, B, example


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


@pytest.mark.parametrize(("student", "teacher"), [((2, 5), (2, 3)), ((2, 3), (2, 5))])
def test_refine_names_what_has_another_shape(student: tuple[int, int], teacher: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"'ratings', '(student|teacher)'\] must have one shape"):
        Refine()(torch.randn(student), torch.randn(teacher), ratings=torch.ones(2, 3))
