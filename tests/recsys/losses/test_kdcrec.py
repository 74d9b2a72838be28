"""What KDCRec's losses have in common: gradients, empty batches, errors."""

from __future__ import annotations

import pytest
import torch

from recsys.losses import RatingError, Refine, SoftLabels
from recsys.losses.bridge import bridge
from recsys.losses.rating_error import rating_error
from recsys.losses.soft_labels import soft_label_error
from tests.recsys.losses.ratings import ITEMS, example


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
