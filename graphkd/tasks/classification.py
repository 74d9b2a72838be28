"""Node classification: one of several classes for every node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.task import Task
from graphkd.core.view import Batch, Call
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL
from graphkd.tasks.class_metrics import class_roc_auc, macro_f1, share_right
from graphkd.tasks.metrics import Metric, class_scores, read_classes
from graphkd.tasks.nodes import NodeTask


class Classification(Task):
    """The losses of one class a row; a mixin of tasks."""

    known_metrics: ClassVar[Mapping[str, Metric]] = {
        "accuracy": share_right,
        "macro_f1": macro_f1,
        "roc_auc": class_roc_auc,
    }

    def supervised(self, where: str | None = None) -> Loss:
        """Make the cross-entropy of the labels."""
        return CE(where=where or self.labelled)

    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:
        """Make the KL divergence from the teacher's softened classes, times the temperature squared."""
        return KL(temperature, where=where)


@dataclass(frozen=True)
class NodeClassification(Classification, NodeTask):
    """Predict one class a node: ``y`` (N,), and the masks ``train_mask``, ``val_mask`` and ``test_mask``.

    split: the column of masks (N, k). evaluate_on: the whole graph, or a loader, to evaluate models on, where training
    sees only a part. new: a mask of nodes of ``evaluate_on`` that training did not see, scored separately as "new".
    node_type: of heterogeneous data, the type of the nodes to classify. A model takes ``x_dict`` and
    ``edge_index_dict``, or ``x``, the features of that type alone; it answers for that type, or for all in a dict.
    metrics: "accuracy", "macro_f1", "roc_auc" (of two classes the second's, else the mean of each against all); the
    first chooses epochs.
    Masks may be boolean (N,) or node ids; labels (N,) or (N, 1), negative or NaN where unlabelled. Without any mask all
    labelled nodes are learnt. Of a neighbour-sampled batch only the seeds are evaluated.

    Example::

        >>> task = NodeClassification(metrics=("macro_f1", "accuracy"))
        >>> result = graphkd.distil("kd", student, teacher, data, task=task, epochs=2, progress=False)
        >>> list(result.scores["test"])
        ['macro_f1', 'accuracy']
    """

    kind: ClassVar[str] = "node_classification"
    what: ClassVar[str] = "node classification"

    metrics: tuple[str, ...] = ("accuracy",)

    def _labels(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return read_classes(y)

    def _scores(self, model: nn.Module, batch: Batch, call: Call | None) -> Tensor:
        return class_scores(model, batch, call)
