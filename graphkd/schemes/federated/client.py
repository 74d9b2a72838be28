"""Client of a federated method: its model, its private data, and how both are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import batches, first_batch, own_rows
from graphkd.core.rng import seeded
from graphkd.core.task import Task
from graphkd.core.view import Call
from graphkd.schemes.federated._messages import answer
from graphkd.tasks import NodeClassification


@dataclass
class Client:
    """Model of a client and its private data, one graph or a loader, which ``task`` has prepared.

    call: ``call(model, batch)`` that replaces the by-name call of the model.
    """

    model: nn.Module
    data: Any
    task: Task = field(default_factory=NodeClassification)
    call: Call | None = None

    def rows(self, of: Callable[[Any], Tensor]) -> Tensor:
        """Evaluate ``of``, batch -> (n, ...), on every batch, and concatenate the batches' own rows."""
        with seeded(0):  # a loader draws: this call must not change later draws
            return torch.cat([of(batch)[: own_rows(batch)] for batch in batches(self.data)])

    @cached_property
    def size(self) -> int:
        """Count the labelled rows."""
        return self.labels.numel()

    @cached_property
    def labels(self) -> Tensor:
        """Return the labels of the labelled rows, (n,)."""

        def labelled(batch: Any) -> Tensor:
            own = own_rows(batch)
            return self.task.targets(batch)[:own][batch[self.task.labelled][:own]]

        return self.rows(labelled)

    @cached_property
    def classes(self) -> int:
        """Return the width of the model's answers."""
        with seeded(0):
            return answer(self.model, first_batch(self.data), self.call).size(-1)
