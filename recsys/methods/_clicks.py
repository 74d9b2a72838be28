"""Problem of click methods: rows of features, batches of them, and teachers whose outputs are computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import on_device
from graphkd.core.cached import Cached
from graphkd.core.loss import Loss
from graphkd.core.rng import seeded
from graphkd.core.teachers import Frozen
from recsys.data.rows import RowBatches, Rows
from recsys.losses.recbole import RecBoleLoss
from recsys.methods._problem import RecommenderProblem
from recsys.models.own_loss import regularises
from recsys.tasks.clicks import Clicks

_BLOCK = 8192  # rows in a forward pass


class ClickProblem(RecommenderProblem):
    """Student, teachers and rows of clicks; a method of clicks is a function of it."""

    data: Rows
    task: Clicks

    def supervised(self, where: str | None = None) -> Loss:
        """Return the clicks' cross-entropy; for a RecBole model that regularises itself, such as DCN, its own loss."""
        own = where is None and regularises(getattr(self.student, "model", self.student))
        return 1.0 * RecBoleLoss() if own else super().supervised(where)

    def batches(self, **columns: Tensor) -> Any:
        """Make the training batches; ``columns`` adds columns or replaces those of the data."""
        rows = self.data
        return self.task.batches(replace(rows, columns={**rows.columns, **columns}) if columns else rows)

    def taught_by(self, model: nn.Module) -> Frozen:
        """Make a teacher of a model, whose outputs for all rows are computed once."""
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        call, path = self.call_of(model), self.path_of(model)
        teacher = Cached(model, on_device(self.data.take(), device), call=call)
        self._know(teacher, call, path)
        return teacher

    @cached_property
    def nodes(self) -> int:
        """Count the rows."""
        return len(self.data)

    def gather(self, rows: Callable[[Any], Tensor]) -> Tensor:
        """Compute a function batch by batch, batch -> (n, ...), and return its values for all rows, (N, ...)."""
        ids = torch.arange(len(self.data))
        with seeded(self.seed):
            return torch.cat([rows(batch) for batch in RowBatches(self.data, ids, batch_size=_BLOCK, shuffle=False)])
