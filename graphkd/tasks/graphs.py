"""Graph classification and graph regression: an answer for every graph of PyG's batches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkd.core.batches import batches, changed, first_batch, mapped
from graphkd.core.masks import read_labels
from graphkd.core.task import Part, Task
from graphkd.core.view import Batch, Call
from graphkd.tasks.classification import Classification
from graphkd.tasks.metrics import answers, check_any, check_metrics, class_scores, tensor_of
from graphkd.tasks.numbers import check_answers, errors, read_numbers, spread
from graphkd.tasks.regression import Numbers


@dataclass(frozen=True)
class GraphTask(Task):
    """Answers of whole graphs, evaluated on loaders of their own."""

    labelled: ClassVar[str] = "labelled"

    val: Iterable[Any] | None = None
    test: Iterable[Any] | None = None

    @abstractmethod
    def _known(self, labels: Tensor) -> Tensor:
        """Tell which graphs have a label, (B,)."""

    @abstractmethod
    def _judged(self, scores: Tensor, labels: Tensor) -> dict[str, float]:
        """Score answers beside the labels that are known."""

    @abstractmethod
    def _answers(self, model: nn.Module, batch: Batch, call: Call | None) -> Tensor:
        """Compute a model's answers about each graph, (B, ...)."""

    def prepare(self, data: Any) -> Any:
        """Return batches with labels in one form and ``labelled``, a mask of graphs that have one."""
        return data if data is None or "y" not in first_batch(data) else mapped(data, self._prepared)

    def has(self, part: Part, data: Any) -> bool:  # noqa: ARG002 - a part has graphs of its own
        """Tell whether there is a loader of this part."""
        return self._loader(part) is not None

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:  # noqa: ARG002
        """Evaluate a model on the graphs of a part that have a label."""
        found, wanted = [], []
        for batch in batches(self._loader(part) or ()):
            labels = self.targets(batch)
            known = self._known(labels)
            scores = self._answers(model, batch, call)
            if scores.size(0) != labels.size(0):
                raise ValueError(
                    f"the model must answer each of {labels.size(0)} graphs, got {scores.size(0)} rows: pool its nodes "
                    "by 'batch', global_mean_pool(x, batch)"
                )
            found.append(scores[known.to(scores.device)].cpu())
            wanted.append(labels[known].cpu())
        check_any(sum(map(len, wanted)), part, "graph with a label")
        return self._judged(torch.cat(found), torch.cat(wanted))

    def _loader(self, part: Part) -> Iterable[Any] | None:
        return self.val if part == "val" else self.test

    def _prepared(self, batch: Batch) -> Any:
        labels = self.targets(batch)
        graphs = getattr(batch, "num_graphs", len(labels)) if isinstance(batch, Data) else len(labels)
        if len(labels) != graphs:
            raise ValueError(
                f"'y' of a batch must have a row for each of {graphs} graphs, got {len(labels)}: a graph with k labels "
                "needs y of shape (1, k), since PyG's batches join the rows"
            )
        return changed(batch, y=labels, **{self.labelled: self._known(labels)})


@dataclass(frozen=True)
class GraphClassification(Classification, GraphTask):
    """Predict one class a graph: ``y`` (B,) of PyG's batches of B graphs; evaluated on loaders of their own.

    val, test: loaders (``torch_geometric.loader.DataLoader``), or lists of batches, to choose epochs and to test on.
    Labels may be (B,) or (B, 1); a negative one is unlabelled. Data may be None for methods that make their graphs.
    metrics: "accuracy", "macro_f1", "roc_auc", as for ``NodeClassification``; the first chooses epochs.

    Example::

        >>> from torch_geometric.loader import DataLoader
        >>> from graphkd.gnn import MuGSIStudent
        >>> loader = DataLoader([data.clone().update({"y": torch.tensor([y])}) for y in (0, 1)], batch_size=2)
        >>> student, teacher = MuGSIStudent(8, classes=2), MuGSIStudent(8, classes=2)
        >>> task = GraphClassification(val=loader, test=loader)
        >>> graphkd.distil("kd", student, teacher, loader, task=task, epochs=2, progress=False).scores["test"]
        {'accuracy': ...}
    """

    kind: ClassVar[str] = "graph_classification"

    metrics: tuple[str, ...] = ("accuracy",)

    def __post_init__(self) -> None:
        check_metrics(self.metrics, self.known_metrics)

    def targets(self, batch: Any) -> Tensor:
        """Return the labels, (B,)."""
        return read_labels(tensor_of(batch, "y"))

    def _known(self, labels: Tensor) -> Tensor:
        return labels >= 0

    def _answers(self, model: nn.Module, batch: Batch, call: Call | None) -> Tensor:
        return class_scores(model, batch, call)

    def _judged(self, scores: Tensor, labels: Tensor) -> dict[str, float]:
        return {name: self.known_metrics[name](scores, labels) for name in self.metrics}


@dataclass(frozen=True)
class GraphRegression(Numbers, GraphTask):
    """Predict numbers of graphs: ``y`` (B,) or (B, k) of PyG's batches, NaN where they are not known.

    val, test: loaders, as for ``GraphClassification``. Models answer (B, k). Of several targets, losses divide each by
    its standard deviation over the training graphs, computed in one pass over the data; scores are those of
    ``Regression``, in the labels' units.

    Example::

        >>> from torch_geometric.loader import DataLoader
        >>> from graphkd.gnn import MuGSIStudent
        >>> loader = DataLoader([data.clone().update({"y": torch.tensor([y])}) for y in (0.5, 2.0)], batch_size=2)
        >>> student, teacher = MuGSIStudent(8, classes=1), MuGSIStudent(8, classes=1)
        >>> task = GraphRegression(val=loader, test=loader)
        >>> sorted(graphkd.distil("kd", student, teacher, loader, task=task, epochs=2, progress=False).scores["test"])
        ['explained', 'mae', 'rmse']
    """

    kind: ClassVar[str] = "graph_regression"

    def prepare(self, data: Any) -> Any:
        """Return batches with labels (B, k), ``labelled`` and, for several targets, ``y_scale``, their spread (k,)."""
        ready = super().prepare(data)
        first = None if data is None else first_batch(data)
        if first is None or "y" not in first:
            raise ValueError("a regression needs labels, as 'y', in the data")
        scale = first["y_scale"] if "y_scale" in first else spread(ready, lambda batch: batch["y"])
        return ready if scale is None else mapped(ready, lambda batch: changed(batch, y_scale=scale))

    def targets(self, batch: Any) -> Tensor:
        """Return the labels, (B, k), NaN where they are not known."""
        return read_numbers(tensor_of(batch, "y"))

    def _known(self, labels: Tensor) -> Tensor:
        return ~labels.isnan().all(dim=1)

    def _answers(self, model: nn.Module, batch: Batch, call: Call | None) -> Tensor:
        found = answers(model, batch, call)
        return check_answers(found, self.targets(batch)) if found.size(0) == self.targets(batch).size(0) else found

    def _judged(self, scores: Tensor, labels: Tensor) -> dict[str, float]:
        return errors(scores.double(), labels.double(), "graphs")
