"""Task of clicks: predict whether a row of features is clicked on; evaluated by AUC, log loss and calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.task import Part
from graphkd.core.view import Call
from recsys.data.rows import RowBatches, Rows
from recsys.evaluate.clicks import predicted, quality
from recsys.losses.clicks import Clicks as ClickLoss
from recsys.losses.soft_clicks import SoftClicks
from recsys.tasks._base import RecommenderTask

_BLOCK = 8192  # rows scored at a time


@dataclass(frozen=True)
class Clicks(RecommenderTask):
    """Predict whether a row is clicked on: ``Rows`` with a column ``y`` of 0 and 1; AUC chooses the epoch.

    Also measured are log loss in nats and the expected calibration error. batch_size: rows in a batch.

    Example::

        >>> from recsys.models.clicks import ClickNet, Field
        >>> columns = {"user": torch.arange(8) % 4, "y": (torch.arange(8) % 2).float()}
        >>> rows = Rows(columns, {"user": Field(4)}, *torch.arange(8).split([4, 2, 2]))
        >>> net = ClickNet(rows.fields, width=2, hidden=(4,))
        >>> result = recsys.distil("kd", net, net, rows, task=Clicks(batch_size=2), epochs=2, progress=False)
        >>> sorted(result.scores["test"])
        ['auc', 'ece', 'log_loss']
    """

    kind: ClassVar[str] = "clicks"
    labelled: ClassVar[str] = "y"
    lower_is_better: ClassVar[tuple[str, ...]] = ("log_loss", "ece")
    training: ClassVar[Mapping[str, Any]] = {"epochs": 40, "patience": 4, "lr": 1e-3, "weight_decay": 1e-5}

    batch_size: int = 1024

    def prepare(self, data: Any) -> Rows:
        """Take ``Rows``, or an object with ``rows``; ValueError for labels outside [0, 1]."""
        rows = getattr(data, "rows", data)
        if not isinstance(rows, Rows):
            raise TypeError(f"clicks are learnt from recsys.data.rows.Rows, got {type(data).__name__}")
        if "y" not in rows.columns:
            raise ValueError(f"'y', the clicks, must be a column of the rows, which have {sorted(rows.columns)}")
        labels = rows.columns["y"]
        if labels.dim() != 1 or (labels.numel() and not (0 <= float(labels.min()) <= float(labels.max()) <= 1)):
            raise ValueError(
                f"'y' must hold a number from 0 to 1 for every row, got shape {tuple(labels.shape)} and values from "
                f"{float(labels.min()):g} to {float(labels.max()):g}"
            )
        return rows

    def batches(self, rows: Rows) -> Any:
        """Make the training batches."""
        return RowBatches(rows, rows.train, batch_size=self.batch_size)

    def supervised(self, where: str | None = None) -> Loss:
        """Return the binary cross-entropy of the clicks."""
        return 1.0 * ClickLoss(where=where)

    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:
        """Return the cross-entropy with the teacher's softened click probabilities."""
        return 1.0 * SoftClicks(temperature, where=where)

    def targets(self, batch: Any) -> Tensor:
        """Return the clicks of a batch's rows."""
        labels: Tensor = batch["y"]
        return labels

    def has(self, part: Part, data: Any) -> bool:
        """Tell whether a part has rows."""
        return len(_ids(data, part)) > 0

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:
        """Measure AUC, log loss and calibration error on a part of the rows."""
        ids = _ids(data, part)
        logits = predicted(model, RowBatches(data, ids, batch_size=_BLOCK, shuffle=False), call=call)
        return quality(logits, data.columns["y"][ids].to(logits.device))


def _ids(rows: Rows, part: Part) -> Tensor:
    return rows.test if part == "test" else rows.valid
