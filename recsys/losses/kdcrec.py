"""KDCRec: what a model of uniformly logged ratings teaches one of the many biased ratings.

Ratings are -1 or 1, 0 is unobserved. An autoencoder shows rows of all items, (B, I); a matrix factorisation shows the
pairs of its batch, (N,): the formulas are the same. See ``recsys.ratings`` for both, ``recsys.uniform`` for schedules.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_positive


def _mean(values: Tensor) -> Tensor:
    return values.sum() / max(values.numel(), 1)


def _check(**tensors: Tensor) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"{sorted(shapes)} must have one shape, got {shapes}")


def rating_error(output: Tensor, ratings: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of w (x - f [x != 0])^2 over all entries, the unobserved too: (B, I) or (N,) each -> scalar."""
    _check(output=output, ratings=ratings)
    errors = (ratings - output * (ratings != 0)).square()
    return _mean(errors if weight is None else weight * errors)


def half_squares(*weights: Tensor) -> Tensor:
    """R = 1/2 sum of squares, the authors' L2."""
    return torch.stack([weight.square().sum() for weight in weights]).sum() / 2


class RatingError(Loss):
    """Squared error of the observed ratings, divided by all entries of the block. Liu et al., SIGIR 2020 (KDCRec).

    mean (x - f [x != 0])^2; student: ``output`` f, ratings: x, (B, I) or (N,). So the effective step shrinks with the
    share of unobserved entries, as in the authors' code. ``confidence`` c in (0, 1] weights the entries that the batch
    marks as ``logged``, those of biased origin, 1 the uniform ones: "union".
    """

    on = "output"

    def __init__(self, confidence: float = 1.0, *, on: str | None = None) -> None:
        super().__init__(on=on)
        if not 0 < confidence <= 1:
            raise ValueError(f"'confidence' must be above 0, at most 1, got {confidence}")
        self.confidence = confidence

    def forward(self, student: Tensor, *, ratings: Tensor, logged: Tensor | None = None) -> Tensor:
        """See the class."""
        one = student.new_ones(())
        weight = None if logged is None else torch.where(logged.bool(), self.confidence * one, one)
        return rating_error(student, ratings, weight)


class LearnedConfidence(Loss):
    """``RatingError`` with a trained confidence of every logged entry: "WR". Liu et al., SIGIR 2020 (KDCRec).

    The weight of a logged entry is its confidence, clipped to [0, 1], from ``start`` on. shape: of the table, (U, I)
    for autoencoders, whose batch has the rows' ids as ``entries`` (B,); (samples,) for factorisations, where
    ``entries`` (N,) numbers the samples. ``logged``: (B, I) or (N,). Nothing keeps confidences up: their gradient is
    the squared error, so they only fall; that is the method.
    """

    on = "output"

    def __init__(self, *shape: int, start: float = 0.3, on: str | None = None) -> None:
        super().__init__(on=on)
        self.table = nn.Parameter(torch.full(shape, start))

    def forward(self, student: Tensor, *, ratings: Tensor, logged: Tensor, entries: Tensor) -> Tensor:
        """See the class."""
        weight = torch.where(logged.bool(), self.table[entries].clamp(0, 1), 1.0)
        return rating_error(student, ratings, weight)


class Decay(Loss):
    """The half sum of squares ``decay`` that a model shows: its weights, or the rows of its tables in the batch."""

    on = "decay"

    def forward(self, student: Tensor) -> Tensor:
        """See the class."""
        return student


def bridge(student: Tensor, teacher: Tensor, sampled: Tensor | None = None) -> Tensor:
    """Mean of (f - f_t)^2 over all entries, those not ``sampled`` being 0: (B, I) or (N,) each -> scalar."""
    _check(student=student, teacher=teacher)
    errors = (student - teacher).square()
    return _mean(errors if sampled is None else sampled * errors)


class Bridge(Loss):
    """Agree with the uniform model on random pairs, observed or not. Liu et al., SIGIR 2020 (KDCRec, label-based).

    mean (f - f_t)^2; student, teacher: (N,) on random pairs, or (B, I) with ``sampled`` (B, I), a fair coin for each
    entry. For factorisations the authors add the L2 of the random pairs' rows inside the weight:
    ``lamb2 * (Bridge(on="random") + lamb * Decay(on="random_decay"))``. Weight 0.01 (autoencoders), 0.1.
    """

    on = "output"

    def forward(self, student: Tensor, teacher: Tensor, *, sampled: Tensor | None = None) -> Tensor:
        """See the class."""
        return bridge(student, teacher, sampled)


def refined_ratings(ratings: Tensor, teacher: Tensor, confidence: float = 0.2) -> Tensor:
    """Labels x + xi z, z the uniform model's outputs scaled to [0, 1] along the last dimension: (..., I) -> (..., I).

    Outputs at unobserved entries count as 0, take part in the range, and get a label too, which has no gradient. All
    equal outputs give z = 0, where the authors divide by 0.
    """
    _check(ratings=ratings, teacher=teacher)
    masked = teacher.detach() * (ratings != 0)
    if not masked.numel():
        return ratings
    low, high = masked.amin(dim=-1, keepdim=True), masked.amax(dim=-1, keepdim=True)
    return ratings + confidence * (masked - low) / torch.where(high > low, high - low, 1)


class Refine(Loss):
    """Squared error against labels that the uniform model refined. Liu et al., SIGIR 2020 (KDCRec, label-based).

    mean (x + xi z - f [x != 0])^2, z from ``refined_ratings``: by row for autoencoders (B, I), over the batch for
    factorisations (N,). ``confidence`` is xi.
    """

    on = "output"

    def __init__(self, confidence: float = 0.2, *, on: str | None = None) -> None:
        super().__init__(on=on)
        self.confidence = confidence

    def forward(self, student: Tensor, teacher: Tensor, *, ratings: Tensor) -> Tensor:
        """See the class."""
        refined = refined_ratings(ratings, teacher, self.confidence)
        return _mean((refined - student * (ratings != 0)).square())


def soft_label_error(student: Tensor, teacher: Tensor, temperature: float = 5.0) -> Tensor:
    """Mean squared difference of softened distributions over all items: (B, I), (B, I) -> scalar."""
    _check(student=student, teacher=teacher)
    check_positive("temperature", temperature)
    return _mean(((student / temperature).softmax(dim=-1) - (teacher / temperature).softmax(dim=-1)).square())


class SoftLabels(Loss):
    """Match the uniform model's distribution over items. Liu et al., SIGIR 2020 (KDCRec, structure-based).

    mean (softmax(f / T) - softmax(f_t / T))^2 over all B I entries; the total is c times this and (1 - c) times
    ``RatingError``, c = 0.2. Their other one, the hint, is ``FitNet(on="code")`` in its place.
    """

    on = "output"

    def __init__(self, temperature: float = 5.0, *, on: str | None = None) -> None:
        super().__init__(on=on)
        self.temperature = check_positive("temperature", temperature)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return soft_label_error(student, teacher, self.temperature)


class CausalPull(Loss):
    """Pull items to the copies that uniform ratings train: CausE. Bonner and Vasile, RecSys 2018; Liu et al., 2020.

    mean over the batch of |q_i - sg(q'_i)|_1; student: ``item`` and ``copy``, (N, d) each, see ``BiasedMF``. A uniform
    rating trains the copy itself, and is pulled nowhere.
    """

    on: str | tuple[str, ...] = ("item", "copy")
    rows: ClassVar[tuple[str, ...]] = ()

    def forward(self, student: tuple[Tensor, Tensor]) -> Tensor:
        """See the class."""
        item, copy = student
        _check(item=item, copy=copy)
        return (item - copy.detach()).abs().sum() / max(item.size(0), 1)
