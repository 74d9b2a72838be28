"""Task of likes and dislikes that were logged with a bias, evaluated on a small uniform sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.task import Part
from graphkd.core.view import Call
from recsys.data.ratings import Ratings, UniformSplit
from recsys.evaluate.clicks import quality
from recsys.losses.bridge import Bridge
from recsys.losses.rating_error import RatingError
from recsys.models.ratings import rated, rating_logits
from recsys.tasks._base import RecommenderTask, refuse_rows


@dataclass(frozen=True)
class UniformRatings(RecommenderTask):
    """Predict likes (1) and dislikes (-1): a ``UniformSplit`` of logged and uniform ratings; AUC chooses the epoch.

    Models are evaluated only on the uniform parts. decay: the weight of the L2 that a model outputs as ``decay``, by
    default 1e-3 for factorisations and 1e-5 for autoencoders. batch_size: logged ratings, for autoencoders users, in a
    batch, by default 1024 and 128. Factorisations are trained for 40 epochs at 5e-3, autoencoders for 160 at 1e-3,
    since their epochs have far fewer steps.

    Example::

        >>> from recsys.models.ratings import BiasedMF
        >>> ratings = Ratings(torch.tensor([0, 1]), torch.tensor([2, 0]), torch.tensor([1.0, -1.0]))
        >>> split = UniformSplit(*[ratings] * 4, num_users=2, num_items=3)
        >>> models, task = (BiasedMF(2, 3), BiasedMF(2, 3)), UniformRatings(batch_size=2)
        >>> sorted(recsys.distil("bridge", *models, split, task=task, epochs=2, progress=False).scores["test"])
        ['auc', 'ece', 'log_loss']
    """

    kind: ClassVar[str] = "uniform_ratings"
    labelled: ClassVar[str] = "ratings"
    lower_is_better: ClassVar[tuple[str, ...]] = ("log_loss", "ece")
    training: ClassVar[Mapping[str, Any]] = {"epochs": 40, "patience": 4, "lr": 5e-3, "weight_decay": 0.0}

    decay: float | None = None
    batch_size: int | None = None

    def prepare(self, data: Any) -> UniformSplit:
        """Take a ``UniformSplit``; its ratings must be -1 and 1."""
        if not isinstance(data, UniformSplit):
            raise TypeError(
                f"ratings with a uniform sample are a recsys.data.ratings.UniformSplit, got {type(data).__name__}"
            )
        for name in ("logged", "train", "valid", "test"):
            values = getattr(data, name).values
            if values.numel() and not bool((values.abs() == 1).all()):
                found = sorted(set(values[values.abs() != 1].tolist()))[:3]
                raise ValueError(f"'{name}' must hold ratings of -1 (disliked) and 1 (liked), got {found}")
        return data

    def supervised(self, where: str | None = None) -> Loss:
        """Return the squared error of the observed ratings."""
        refuse_rows(where, "ratings")
        return 1.0 * RatingError()

    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:  # noqa: ARG002 - outputs, no logits
        """Return the mean squared difference of the outputs."""
        refuse_rows(where, "ratings")
        return 1.0 * Bridge()

    def targets(self, batch: Any) -> Tensor:
        """Return the ratings of a batch."""
        ratings: Tensor = batch["ratings"]
        return ratings

    def has(self, part: Part, data: Any) -> bool:
        """Tell whether a part has ratings."""
        return len(_pairs(data, part).users) > 0

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:
        """Measure AUC, log loss and calibration error on the uniform ratings of a part."""
        pairs = _pairs(data, part)
        output = rated(model, pairs, data.logged_rows if reads_rows(model) else None, call=call)
        return quality(rating_logits(output), (pairs.values > 0).to(output.device))


def reads_rows(model: Any) -> bool:
    """Tell whether a model reads rows of all items, as autoencoders do; else it reads pairs, as factorisations do."""
    return bool(getattr(model, "reads_rows", False))


def _pairs(split: UniformSplit, part: Part) -> Ratings:
    return split.test if part == "test" else split.valid
