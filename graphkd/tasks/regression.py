"""Regression: real numbers for every node, or every row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphkd.core.batches import batches, changed, first_batch, mapped, own_rows
from graphkd.core.loss import Loss
from graphkd.core.task import Part, Task
from graphkd.core.view import Batch, Call, names
from graphkd.losses.regression.number_distance import NumberDistance
from graphkd.losses.regression.squared_error import SquaredError
from graphkd.tasks.metrics import answers, selected, tensor_of
from graphkd.tasks.numbers import check_answers, errors, read_numbers, spread
from graphkd.tasks.splits import MASKS


class Numbers(Task):
    """The losses of real numbers; a mixin of tasks."""

    lower_is_better: ClassVar[tuple[str, ...]] = ("rmse", "mae")

    def supervised(self, where: str | None = None) -> Loss:
        """Make the squared error of the labels; several targets are each divided by their spread ``y_scale``."""
        return SquaredError(where=where or self.labelled)

    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:  # noqa: ARG002 - numbers have none
        """Make the squared distance from the teacher's numbers, in the same units."""
        return NumberDistance(where=where)


@dataclass(frozen=True)
class Regression(Numbers):
    """Predict numbers of rows: ``y`` (N,) or (N, k), NaN where unknown; evaluated by the share of variance explained.

    The masks ``train_mask``, ``val_mask`` and ``test_mask``, boolean (N,) or row ids, select the rows to learn and to
    evaluate; without ``train_mask`` all rows with a label are learnt. val, test: further data, one batch or a loader,
    whose labelled rows (of their ``train_mask``, if any) are evaluated in place of a mask. Models answer (N, k). Of
    several targets, losses divide each by its standard deviation over the learnt labels, ``y_scale`` of the prepared
    data. Scores: "explained", 1 - mean squared error / variance, chooses epochs; "rmse" and "mae" are errors in the
    labels' unit; of several targets each score is the mean.

    Example::

        >>> data.y = data.x[:, :3]
        >>> result = graphkd.distil("kd", student, teacher, data, task=Regression(), epochs=2, progress=False)
        >>> sorted(result.scores["test"])
        ['explained', 'mae', 'rmse']
    """

    kind: ClassVar[str] = "regression"
    labelled: ClassVar[str] = MASKS["train"]

    val: Any = None
    test: Any = None

    def prepare(self, data: Any) -> Any:
        """Return the data with labels (N, k), masks of rows that have one and, for several targets, ``y_scale``."""
        first = first_batch(data)
        if "y" not in first:
            raise ValueError(f"a regression needs labels, as 'y', in the data, which have {names(first)}")
        ready = mapped(data, self._prepared)
        scale = first["y_scale"] if "y_scale" in first else spread(ready, self._learnt)
        return ready if scale is None else mapped(ready, lambda batch: changed(batch, y_scale=scale))

    def targets(self, batch: Any) -> Tensor:
        """Return the labels, NaN where they are not known: (n,), or (n, k) of several targets."""
        y: Tensor = batch["y"]
        return y[:, 0] if y.size(1) == 1 else y

    def has(self, part: Part, data: Any) -> bool:
        """Tell whether there are rows to evaluate: data of their own, or a mask with a row in it."""
        if self._apart(part) is not None:
            return True
        first = first_batch(data)
        return MASKS[part] in first and (names(data) is None or bool(first[MASKS[part]].any()))

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:
        """Compute explained variance, root mean squared and mean absolute error on the rows of a part."""
        apart = self._apart(part)
        judged, mask = (data, MASKS[part]) if apart is None else (mapped(apart, self._prepared), self.labelled)
        found, labels = [], []
        for batch in batches(judged):
            own = own_rows(batch)
            rows, y = batch[mask][:own], batch["y"][:own]
            numbers = check_answers(answers(model, batch, call)[:own], y)
            labels.append(y[rows].double().cpu())
            found.append(numbers[rows.to(numbers.device)].double().cpu())
        return errors(torch.cat(found), torch.cat(labels), mask)

    def _apart(self, part: Part) -> Any:
        return self.val if part == "val" else self.test

    def _prepared(self, batch: Batch) -> Any:
        y = read_numbers(tensor_of(batch, "y"))
        known = ~y.isnan().all(dim=1)
        entries = {name: selected(batch, name, y.size(0)) & known for name in MASKS.values() if name in batch}
        return changed(batch, y=y, **{self.labelled: known, **entries})

    def _learnt(self, batch: Batch) -> Tensor:
        return batch["y"][batch[self.labelled]]
