"""Anomaly detection: a score for every node, the larger the odder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphkd.core.batches import batches, changed, count_rows, first_batch, mapped, own_rows
from graphkd.core.loss import Loss
from graphkd.core.task import Part, Task
from graphkd.core.view import Batch, Call
from graphkd.losses.features.feature_distance import FeatureDistance
from graphkd.tasks.metrics import answers, area_under_curve, selected, tensor_of


@dataclass(frozen=True)
class AnomalyDetection(Task):
    """Score nodes, the odder the higher; evaluated by the area under the ROC curve. No method reads the labels.

    labels: the entry that is 1 for anomalies and 0 for other rows, (N,), for evaluation only; it may be missing.
    ``judged``: the mask of the rows to evaluate, by default all. ``train_mask``, boolean (N,), selects rows known to be
    ordinary, for methods that learn them; without it all rows count as ordinary. Models answer (N,) or (N, 1).

    Example::

        >>> data.odd = (data.y == 2).long()
        >>> task = AnomalyDetection(labels="odd")
        >>> from torch_geometric.nn import MLP
        >>> result = graphkd.distil("ordinal", MLP([8, 16, 1]), None, data, task=task, epochs=2, progress=False)
        >>> task.score(student, task.prepare(data), call=lambda model, batch: batch["odd"].float())
        {'auc': 1.0}
    """

    kind: ClassVar[str] = "anomaly_detection"
    labelled: ClassVar[str] = "train_mask"

    labels: str = "y"
    judged: str | None = None

    def prepare(self, data: Any) -> Any:
        """Check labels and masks; give the data the mask of ordinary rows where they have none."""
        first = first_batch(data)
        return mapped(data, self._prepared) if self._prepared(first) is not first else data

    def supervised(self, where: str | None = None) -> Loss:  # noqa: ARG002 - there is none
        """Raise ValueError: there are no labels to learn."""
        raise ValueError(
            "anomalies are found without labels: choose 'uninformed' or 'ordinal', or a task that has labels to learn"
        )

    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:  # noqa: ARG002 - scores have none
        """Make the squared distance from the teacher's scores."""
        return FeatureDistance("l2", on="logits", where=where)

    def targets(self, batch: Any) -> Tensor:
        """Return 0 for every row, the target of ordinary ones, (n,)."""
        return torch.zeros(count_rows(batch), dtype=torch.long)

    def has(self, part: Part, data: Any) -> bool:
        """Tell whether there are labels for a test; there is no validation, so that epochs are not chosen."""
        return part == "test" and self.labels in first_batch(data)

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:  # noqa: ARG002 - there is one
        """Compute the area under the ROC curve of the scores."""
        found, odd = [], []
        for batch in batches(data):
            own = own_rows(batch)
            scores = answers(model, batch, call).cpu()
            if scores.dim() > 2 or (scores.dim() == 2 and scores.size(1) != 1):
                raise ValueError(f"a model must answer one score a row, (N,) or (N, 1), got {tuple(scores.shape)}")
            rows = slice(None) if self.judged is None else selected(batch, self.judged, scores.size(0))[:own].cpu()
            found.append(scores.reshape(-1)[:own][rows])
            odd.append(batch[self.labels][:own].cpu().bool()[rows])
        return {"auc": area_under_curve(torch.cat(found), torch.cat(odd))}

    def _prepared(self, batch: Batch) -> Any:
        if self.labels in batch:
            labels = tensor_of(batch, self.labels)
            if labels.shape != (count_rows(batch),) or not bool(((labels == 0) | (labels == 1)).all()):
                raise ValueError(
                    f"{self.labels!r} must be 1 for what is odd and 0 for the rest, (N,), got {labels.dtype} of shape "
                    f"{tuple(labels.shape)}: name another entry by task=AnomalyDetection(labels=...)"
                )
        if self.labelled not in batch:
            return changed(batch, **{self.labelled: torch.ones(count_rows(batch), dtype=torch.bool)})
        mask = selected(batch, self.labelled, count_rows(batch))
        return batch if mask is batch[self.labelled] else changed(batch, **{self.labelled: mask})
