"""Multi-label node classification: several labels, or none, for every node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.view import Batch, Call
from graphkd.losses.response.bce import BCE
from graphkd.losses.response.soft_bce import SoftBCE
from graphkd.tasks.class_metrics import label_average_precision, label_macro_f1, label_micro_f1, label_roc_auc
from graphkd.tasks.metrics import Metric, answers
from graphkd.tasks.nodes import NodeTask


@dataclass(frozen=True)
class MultiLabelNodeClassification(NodeTask):
    """Predict several labels a node: ``y`` (N, L) of 0 and 1, NaN for unknown, and masks as for ``NodeClassification``.

    Models answer a logit for each label, (N, L). Unknown entries are neither learnt nor evaluated. metrics: "micro_f1",
    "macro_f1" (a logit above 0 is a yes), "roc_auc" and "average_precision" (the mean over labels that some of the
    evaluated nodes have and others lack); the first chooses epochs. Other options: see ``NodeClassification``.

    Example::

        >>> data.y = torch.nn.functional.one_hot(data.y).float()
        >>> task = MultiLabelNodeClassification(metrics=("macro_f1", "roc_auc"))
        >>> result = graphkd.distil("kd", student, teacher, data, task=task, epochs=2, progress=False)
        >>> sorted(result.scores["test"])
        ['macro_f1', 'roc_auc']
    """

    kind: ClassVar[str] = "multi_label_node_classification"
    what: ClassVar[str] = "multi-label node classification"
    known_metrics: ClassVar[Mapping[str, Metric]] = {
        "micro_f1": label_micro_f1,
        "macro_f1": label_macro_f1,
        "roc_auc": label_roc_auc,
        "average_precision": label_average_precision,
    }

    metrics: tuple[str, ...] = ("micro_f1", "roc_auc", "average_precision")

    def supervised(self, where: str | None = None) -> Loss:
        """Make the binary cross-entropy of the known labels."""
        return BCE(where=where or self.labelled)

    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:  # noqa: ARG002 - labels apart are not softened
        """Make the binary cross-entropy with the teacher's probability of each label."""
        return SoftBCE(where=where)

    def _labels(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return read_label_sets(y)

    def _scores(self, model: nn.Module, batch: Batch, call: Call | None) -> Tensor:
        found, wanted = answers(model, batch, call), tuple(batch["y"].shape)
        if tuple(found.shape) != wanted:
            raise ValueError(f"the model must answer a logit for each label, {wanted}, got {tuple(found.shape)}")
        return found


def read_label_sets(y: Tensor) -> tuple[Tensor, Tensor]:
    """Read multi-label targets as floats (N, L), NaN for unknown, and a mask (N,) of rows with any known label.

    Raises ValueError for another shape and for numbers other than 0, 1 and NaN; -1 is not guessed to mean unknown.
    """
    if y.dim() != 2 or y.size(1) < 2:
        raise ValueError(
            f"'y' must hold 0 or 1 for each label of each node, (N, L), got {tuple(y.shape)}: for one class a node use "
            "NodeClassification"
        )
    wide = y if y.is_floating_point() else y.to(torch.get_default_dtype())
    unknown = wide.isnan()
    if not bool((unknown | (wide == 0) | (wide == 1)).all()):
        raise ValueError("'y' must hold 0, 1 or NaN for unknown, got other numbers: y = y.float(); y[y < 0] = nan")
    return wide, ~unknown.all(dim=1)
