"""Common parts of the tasks of recommenders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from graphkd.core.task import Task


class RecommenderTask(Task):
    """A task that says how to train where neither the user nor the method does.

    training: options of ``fit``: "epochs", "patience", "metric_every", and "lr" and "weight_decay" of Adam.
    """

    training: ClassVar[Mapping[str, Any]]


def refuse_rows(where: str | None, kind: str) -> None:
    """Raise ValueError for a loss on some rows of a batch, which has none that are labelled apart."""
    if where is not None:
        raise ValueError(f"a loss of {kind} reads the whole batch: leave out 'where', got {where!r}")
