"""Several models as one: the mean of their scores, or of their views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.ensemble import Ensemble, mean_logits
from graphkd.core.teachers import Frozen
from recsys.models.base import Recommender


class MeanScores(Recommender):
    """The mean score of several recommenders, weighted by ``weights`` (K,) where given.

    If all models have tables, so does this: their tables side by side, whose width is the sum of theirs.
    """

    weights: Tensor

    def __init__(self, models: Sequence[Recommender], weights: Tensor | None = None) -> None:
        if not models:
            raise ValueError("'models' must hold one recommender at least, got none")
        sizes = {(model.num_users, model.num_items) for model in models}
        if len(sizes) > 1:
            raise ValueError(f"'models' must score the same users and items, got {sorted(sizes)}")
        super().__init__(*sizes.pop())
        self.models = nn.ModuleList(models)
        self.has_tables = all(model.has_tables for model in models)
        self.padding = any(model.padding for model in models)
        shares = torch.ones(len(models)) if weights is None else weights.clone()
        self.register_buffer("weights", shares / shares.sum(), persistent=False)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Concatenate all tables; the weights multiply the users' side."""
        if not self.has_tables:
            return super().tables()
        users, items = zip(*(model.tables() for model in self.models), strict=True)  # type: ignore[operator]
        weighted = [share * user for share, user in zip(self.weights, users, strict=True)]
        return torch.cat(weighted, dim=1), torch.cat(items, dim=1)

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """Average the scores of pairs, broadcast."""
        if self.has_tables:
            return super().score(users, items)
        scores = (model.score(users, items) for model in self.models)  # type: ignore[operator]
        return torch.stack([share * score for share, score in zip(self.weights, scores, strict=True)]).sum(dim=0)


class MeanView(nn.Module):
    """The mean of every entry in the views of several models for a batch."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """See the class."""
        views = [model(batch) for model in self.models]
        shared = [name for name in views[0] if all(name in view for view in views)]
        return {name: torch.stack([view[name] for view in views]).mean(dim=0) for name in shared}


def members(teacher: Any) -> list[Any]:
    """List the modules of a teacher: itself, the module of a ``Frozen``, or those of an ``Ensemble``.

    Raises ValueError for an Ensemble that is not the mean of its members.
    """
    if isinstance(teacher, Ensemble):
        if teacher.combine is not mean_logits or callable(teacher.weights):
            raise ValueError(
                "an Ensemble of recommenders must be their mean: leave out 'combine', and rules as 'weights'"
            )
        return [model for member in teacher.members for model in members(member)]
    return [teacher.model if isinstance(teacher, Frozen) else teacher]


def recommender_of(teacher: Any) -> Recommender:
    """Return a teacher of any kind as one recommender; TypeError for another model."""
    models = members(teacher)
    for model in models:
        if not isinstance(model, Recommender):
            raise TypeError(f"'teacher' must be a recsys.models.Recommender, got {type(model).__name__}")
    if not isinstance(teacher, Ensemble):
        return models[0]
    return MeanScores(models, teacher.weights if isinstance(teacher.weights, Tensor) else None)
