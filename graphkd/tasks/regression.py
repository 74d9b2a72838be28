"""Regression: one real number for every node, or every row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphkd.core.batches import batches, changed, first_batch, mapped, own_rows
from graphkd.core.loss import Loss
from graphkd.core.task import Part, Task
from graphkd.core.view import Batch, Call, names
from graphkd.losses.features.feature_distance import FeatureDistance
from graphkd.losses.regression.squared_error import SquaredError
from graphkd.tasks.metrics import answers, check_any, selected, tensor_of
from graphkd.tasks.splits import MASKS


@dataclass(frozen=True)
class Regression(Task):
    """One number a row: ``y`` (N,) or (N, 1), NaN where it is not known; judged by the share of variance explained.

    The masks ``train_mask``, ``val_mask`` and ``test_mask``, boolean (N,) or row ids, say which rows are learnt and
    judged; without ``train_mask`` all rows with a label are learnt. val, test: further data, one batch or a loader, all
    of whose labelled rows are judged, in place of a mask. Models answer (N, 1). "explained" is 1 - mean squared error
    over the variance, which chooses epochs; "rmse" and "mae" are errors in the labels' unit.

    Example::

        graphkd.distil("kd", student, teacher, rows, task=Regression(val=held_out, test=others))
    """

    kind: ClassVar[str] = "regression"
    labelled: ClassVar[str] = MASKS["train"]
    lower_is_better: ClassVar[tuple[str, ...]] = ("rmse", "mae")

    val: Any = None
    test: Any = None

    def prepare(self, data: Any) -> Any:
        """Give the data labels (N, 1) and masks of rows that have one, in copies of the batches that have others."""
        first = first_batch(data)
        if "y" not in first:
            raise ValueError(f"a regression needs labels, as 'y', in the data, which have {names(first)}")
        return mapped(data, self._prepared)

    def supervised(self, where: str | None = None) -> Loss:
        """Squared error of the labels."""
        return SquaredError(where=where or self.labelled)

    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:  # noqa: ARG002 - numbers have none
        """Squared distance from the teacher's numbers."""
        return FeatureDistance("l2", on="logits", where=where)

    def targets(self, batch: Any) -> Tensor:
        """Labels, (n,), NaN where they are not known."""
        return batch["y"][:, 0]

    def has(self, part: Part, data: Any) -> bool:
        """Whether there are rows to judge: data of their own, or a mask with a row in it."""
        if self._apart(part) is not None:
            return True
        first = first_batch(data)
        return MASKS[part] in first and (names(data) is None or bool(first[MASKS[part]].any()))

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:
        """Share of the variance that is explained, root mean squared and mean absolute error."""
        apart = self._apart(part)
        judged, mask = (data, MASKS[part]) if apart is None else (self.prepare(apart), self.labelled)
        gaps, labels = [], []
        for batch in batches(judged):
            own = own_rows(batch)
            rows = batch[mask][:own]
            found, y = answers(model, batch, call)[:own], batch["y"][:own]
            found = found[:, None] if found.dim() == 1 else found
            if found.shape != y.shape:
                wanted, shape = tuple(y.shape), tuple(found.shape)
                raise ValueError(f"a model must answer {wanted} to {y.size(0)} rows, a number each, got {shape}")
            labels.append(y[rows].double().cpu())
            gaps.append(found[rows.to(found.device)].double().cpu() - labels[-1])
        return _errors(torch.cat(gaps), torch.cat(labels), mask)

    def _apart(self, part: Part) -> Any:
        return self.val if part == "val" else self.test

    def _prepared(self, batch: Batch) -> Any:
        y = tensor_of(batch, "y")
        if y.dim() > 2 or (y.dim() == 2 and y.size(1) != 1):
            raise ValueError(f"'y' must hold a number for each row, (N,) or (N, 1), got shape {tuple(y.shape)}")
        wide = y.reshape(-1, 1) if y.is_floating_point() else y.reshape(-1, 1).to(torch.get_default_dtype())
        known = ~wide[:, 0].isnan()
        entries = {name: selected(batch, name, y.size(0)) & known for name in MASKS.values() if name in batch}
        return changed(batch, y=wide, **{self.labelled: known, **entries})


def _errors(gaps: Tensor, labels: Tensor, mask: str) -> dict[str, float]:
    check_any(gaps.numel(), mask, "row with a label")
    squares = float(gaps.square().mean())
    variance = float(labels.var(correction=0)) or 1.0  # equal labels have none
    return {"explained": 1 - squares / variance, "rmse": squares**0.5, "mae": float(gaps.abs().mean())}
