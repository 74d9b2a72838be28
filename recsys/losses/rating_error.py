"""The squared error of ratings, with a weight for those of biased origin."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss
from recsys.losses._ratings import check_shapes, mean
from recsys.losses._scores import wide


def rating_error(output: Tensor, ratings: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of w (x - f [x != 0])^2 over all entries, including unobserved ones: (B, I) or (N,) each -> scalar."""
    check_shapes(output=output, ratings=ratings)
    output, ratings = wide(output, ratings)
    errors = (ratings - output * (ratings != 0)).square()
    return mean(errors if weight is None else weight * errors)


class RatingError(Loss):
    """Measure squared errors of observed ratings, divided by all entries of the block. Liu et al., SIGIR 2020 (KDCRec).

    mean (x - f [x != 0])^2; student: ``output`` f, ratings: x, (B, I) or (N,). So the effective step shrinks with the
    share of unobserved entries, as in the authors' code. ``confidence`` c in (0, 1] is the weight of entries that the
    batch marks as ``logged``, that is of biased origin; uniform ones have weight 1: "union".

    Example::

        >>> ratings, logged = torch.tensor([1.0, -1.0, 0.0]), torch.tensor([True, False, False])
        >>> RatingError(confidence=0.5)(torch.tensor([0.0, 0.0, 9.0]), ratings=ratings, logged=logged)  # (0.5 + 1) / 3
        tensor(0.5000)
    """

    on = "output"

    def __init__(self, confidence: float = 1.0, *, on: str | None = None) -> None:
        super().__init__(on=on)
        if not 0 < confidence <= 1:
            raise ValueError(f"'confidence' must be above 0, at most 1, got {confidence}")
        self.confidence = confidence

    def forward(self, student: Tensor, *, ratings: Tensor, logged: Tensor | None = None) -> Tensor:
        """See the class."""
        if logged is not None:
            check_shapes(student=student, ratings=ratings, logged=logged)
        one = student.new_ones(())
        weight = None if logged is None else torch.where(logged.bool(), self.confidence * one, one)
        return rating_error(student, ratings, weight)


class LearnedConfidence(Loss):
    """Weigh each logged entry's ``RatingError`` by a trained confidence: "WR". Liu et al., SIGIR 2020 (KDCRec).

    The weight of a logged entry is its confidence, clipped to [0, 1] and initially ``start``. shape: of the table of
    confidences: (U, I) for autoencoders, whose batch has the rows' ids as ``entries`` (B,); (samples,) for
    factorisations, where ``entries`` (N,) are the numbers of the samples. ``logged``: (B, I) or (N,). Confidences can
    only fall, since their gradient is the squared error and nothing raises them; that is the method.

    Example::

        >>> loss = LearnedConfidence(2, start=0.3)  # of two samples, the first of which is logged
        >>> batch = {"ratings": torch.ones(2), "logged": torch.tensor([True, False]), "entries": torch.arange(2)}
        >>> round(loss(torch.zeros(2), **batch).item(), 3)  # (0.3 + 1) / 2
        0.65
    """

    on = "output"

    def __init__(self, *shape: int, start: float = 0.3, on: str | None = None) -> None:
        super().__init__(on=on)
        self.table = nn.Parameter(torch.full(shape, start))

    def forward(self, student: Tensor, *, ratings: Tensor, logged: Tensor, entries: Tensor) -> Tensor:
        """See the class."""
        confidence = self.table[entries]
        check_shapes(student=student, ratings=ratings, logged=logged, confidence=confidence)
        weight = torch.where(logged.bool(), confidence.clamp(0, 1), 1.0)
        return rating_error(student, ratings, weight)
