"""Graph classification: one of several classes for every graph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from graphkd.core.batches import batches, changed, first_batch, mapped
from graphkd.core.masks import read_labels
from graphkd.core.task import Part
from graphkd.core.view import Batch, Call
from graphkd.tasks.classification import Classification
from graphkd.tasks.metrics import check_any, class_scores, tensor_of


@dataclass(frozen=True)
class GraphClassification(Classification):
    """One class a graph: ``y`` (B,) of PyG's batches of B graphs; judged by accuracy on loaders of their own.

    val, test: loaders (``torch_geometric.loader.DataLoader``), or lists of batches, to choose epochs on and to judge.
    Labels may be (B,) or (B, 1); a negative one is unlabelled. Data may be None for methods that make their graphs.

    Example::

        task = GraphClassification(val=DataLoader(val, 64), test=DataLoader(test, 64))
        graphkd.distil("kd", student, teacher, DataLoader(train, 32, shuffle=True), task=task)
    """

    kind: ClassVar[str] = "graph_classification"
    labelled: ClassVar[str] = "labelled"

    val: Iterable[Any] | None = None
    test: Iterable[Any] | None = None

    def prepare(self, data: Any) -> Any:
        """Give batches of labelled graphs labels (B,), and ``labelled``, a mask of the graphs that have one."""
        return data if data is None or "y" not in first_batch(data) else mapped(data, self._prepared)

    def targets(self, batch: Any) -> Tensor:
        """Labels, (B,)."""
        return read_labels(tensor_of(batch, "y"))

    def has(self, part: Part, data: Any) -> bool:  # noqa: ARG002 - a part is judged on graphs of its own
        """Whether there is a loader of this part."""
        return self._loader(part) is not None

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:  # noqa: ARG002
        """Share of the graphs of a part whose class the model gets right."""
        right, count = 0, 0
        for batch in batches(self._loader(part) or ()):
            labels = self.targets(batch)
            known = labels >= 0
            scores = class_scores(model, batch, call)
            if scores.size(0) != labels.size(0):
                raise ValueError(
                    f"the model must answer each of {labels.size(0)} graphs, got {scores.size(0)} rows: pool its nodes "
                    "by 'batch', global_mean_pool(x, batch)"
                )
            found = scores.argmax(dim=-1).to(labels.device)
            right += int((found[known] == labels[known]).sum())
            count += int(known.sum())
        return {"accuracy": right / check_any(count, part, "graph with a label")}

    def _loader(self, part: Part) -> Iterable[Any] | None:
        return self.val if part == "val" else self.test

    def _prepared(self, batch: Batch) -> Any:
        labels = self.targets(batch)
        return changed(batch, y=labels, **{self.labelled: labels >= 0})
