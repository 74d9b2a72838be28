"""Common parts of the problems of all tasks of recommenders."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from graphkd.core.batches import first_batch
from graphkd.core.problem import Problem
from graphkd.core.rng import seeded
from recsys.tasks._base import RecommenderTask


class RecommenderProblem(Problem):
    """A problem whose data are not a graph: its task gives the training options, and a subclass makes the batches."""

    task: RecommenderTask

    @property
    def training(self) -> Mapping[str, Any]:
        """Return options of ``fit`` for those that neither the user nor the method gives."""
        return self.task.training

    @cached_property
    def first(self) -> Any:
        """Return the first batch."""
        with seeded(self.seed):
            return first_batch(self.batches())
