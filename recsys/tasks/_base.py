"""Common parts of the tasks of recommenders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from graphkd.core.task import Task


class RecommenderTask(Task):
    """A task that also has training options, for those that neither the user nor the method gives.

    training: options of ``fit``: "epochs", "patience", "metric_every", and "lr" and "weight_decay" of Adam.
    """

    training: ClassVar[Mapping[str, Any]]


def refuse_rows(where: str | None, kind: str) -> None:
    """Raise ValueError for a loss on some rows of a batch: these tasks have no separate labelled rows."""
    if where is not None:
        raise ValueError(f"a loss of {kind} reads the whole batch: leave out 'where', got {where!r}")
