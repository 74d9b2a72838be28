"""What the problems of all tasks of recommenders share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from torch import nn

from graphkd.core.batches import first_batch
from graphkd.core.problem import Problem
from graphkd.core.rng import seeded
from recsys.tasks._base import RecommenderTask


class RecommenderProblem(Problem):
    """A problem whose data are no graph: its task makes the batches, and says how to train where nobody else does."""

    task: RecommenderTask

    def batches(self) -> Any:
        """Make the training batches."""
        raise NotImplementedError

    @property
    def training(self) -> Mapping[str, Any]:
        """Options of ``fit`` where neither the user nor the method says otherwise."""
        return self.task.training

    @cached_property
    def first(self) -> Any:
        """The first batch."""
        with seeded(self.seed):
            return first_batch(self.batches())

    def train(
        self,
        trainable: nn.Module,
        name: str = "student",
        data: Any = None,
        *,
        serve: Callable[[Any], nn.Module] | None = None,
        choose: bool = True,
        seed: int | None = None,
        **published: Any,
    ) -> Any:
        """Train a stage, on the training batches where no others are given, see ``Problem.train``."""
        run: Any = self.run
        published = {**self.training, **run.method.published, **published}
        data = self.batches() if data is None else data
        return super().train(trainable, name, data, serve=serve, choose=choose, seed=seed, **published)
