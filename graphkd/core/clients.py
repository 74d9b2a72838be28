"""Federated data: each of several clients holds a part that no other client sees."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch
from torch import nn

from graphkd.core.batches import first_batch
from graphkd.core.task import Task
from graphkd.core.view import Call


class Clients(Sequence[Any]):
    """Data of several clients, one graph or loader each, for federated methods.

    students: one model per client, where the clients do not all start as copies of ``student``. Raises ValueError for
    no data, and for another number of students than of clients.

    Example::

        graphkd.distil("fedavg", student, None, Clients([one, other]))
        graphkd.distil("fedmd", None, None, Clients([one, other], students=[gcn, mlp]), public=public)
    """

    def __init__(self, data: Sequence[Any], students: Sequence[nn.Module] | None = None) -> None:
        if not data:
            raise ValueError("'data' must be that of one client at least, got none")
        if students is not None and len(students) != len(data):
            raise ValueError(f"'students' must be a model of each of the {len(data)} clients, got {len(students)}")
        self.data = list(data)
        self.students = None if students is None else list(students)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, place: Any) -> Any:
        return self.data[place]

    @property
    def first(self) -> Any:
        """Return the first batch of the first client."""
        return first_batch(self.data[0])

    def prepared(self, task: Task, device: torch.device | str | None = None) -> Clients:
        """Check every client's data, and copy the models, to a device where one is given."""
        models = None if self.students is None else [copy.deepcopy(model).to(device) for model in self.students]
        return Clients([_prepared(task, who, each) for who, each in enumerate(self.data)], models)

    def scores(self, task: Task, model: nn.Module, call: Call | None = None) -> dict[str, dict[str, float]]:
        """Measure a model on the whole graph of the task's ``evaluate_on``, else by the mean over clients' own parts.

        The mean of a part is over the clients that have it.
        """
        whole = getattr(task, "evaluate_on", None)
        if whole is not None:
            return task.scores(model, task.prepare(whole), call)
        found = [task.scores(model, each, call) for each in self.data]
        metrics = {part: list(values) for one in found for part, values in one.items()}
        return {
            part: {name: fmean(one[part][name] for one in found if part in one) for name in named}
            for part, named in metrics.items()
        }


def _prepared(task: Task, who: int, data: Any) -> Any:
    """Prepare a client's data for the task; errors name the client."""
    try:
        return task.prepare(data)
    except ValueError as error:
        raise ValueError(f"client {who} (counted from 0): {error}") from error
