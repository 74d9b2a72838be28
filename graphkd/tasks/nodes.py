"""Common parts of node tasks: masks, node types, nodes that training did not see, evaluation by rows of a mask."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphkd.core.batches import batches, changed, first_batch, mapped
from graphkd.core.by_name import lookup, node_types
from graphkd.core.task import Part, Task
from graphkd.core.view import Batch, Call, Viewer, names
from graphkd.kernels.edges.layout import check_edge_index
from graphkd.tasks.metrics import Metric, check_any, check_metrics, judged_rows, selected, tensor_of
from graphkd.tasks.splits import MASKS

_OF_NODES = ("x", "y", "n_id", "batch_size", *MASKS.values())  # entries that a graph has for each type of nodes


@dataclass(frozen=True)
class NodeTask(Task):
    """Answers of nodes, learnt and evaluated by the masks ``train_mask``, ``val_mask`` and ``test_mask``."""

    labelled: ClassVar[str] = MASKS["train"]
    known_metrics: ClassVar[Mapping[str, Metric]] = {}
    what: ClassVar[str] = ""  # the task in words, for errors

    split: int | None = None
    evaluate_on: Any = None
    new: Tensor | None = None
    node_type: str | None = None
    metrics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_metrics(self.metrics, self.known_metrics)

    @abstractmethod
    def _labels(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return labels in the one form that is read, and a mask (N,) of the rows that have one."""

    @abstractmethod
    def _scores(self, model: nn.Module, batch: Batch, call: Call | None) -> Tensor:
        """Compute a model's answers about each row."""

    def call(self, call: Call | None) -> Call | None:
        """Return a call that reads the answers of ``node_type`` where a model gives those of all types."""
        ours = isinstance(call, partial) and call.func is _of_type  # the runner has wrapped it already
        return call if self.node_type is None or ours else partial(_of_type, self.node_type, call)

    def prepare(self, data: Any) -> Any:
        """Return the data with masks (N,) and labels in one form; batches are copied where theirs differ."""
        plain = first_batch(data)
        first = self._typed(plain)
        wanted = ("y", self.labelled) if any(name in first for name in MASKS.values()) else ("y",)
        missing = [name for name in wanted if name not in first]
        if missing:
            raise ValueError(
                f"{self.what} needs {missing} in the data, which have {names(first)}; for data of another kind give "
                "'task', one of graphkd.tasks"
            )
        ready = self._prepared(plain)
        if names(data) is not None:
            check_any(int(ready[self.labelled].sum()), self.labelled)
            _check_edges(ready)
            return ready
        return data if ready is plain else mapped(data, self._prepared)

    def targets(self, batch: Any) -> Tensor:
        """Return the labels, one row per node."""
        return batch["y"]

    def has(self, part: Part, data: Any) -> bool:
        """Tell whether the data have a mask of this part with a node in it."""
        first = first_batch(self._judged(data, part))
        return MASKS[part] in first and (names(data) is None or bool(first[MASKS[part]].any()))

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:
        """Evaluate a model on the nodes of a part by ``metrics``."""
        return self._measure(model, self._judged(data, part), MASKS[part], call)

    def scores(self, model: nn.Module, data: Any, call: Call | None = None) -> dict[str, dict[str, float]]:
        """Evaluate a model on validation and test nodes, and on new ones where there are any."""
        found = super().scores(model, data, call)
        if self.new is not None:
            whole = mapped(self.prepare(self.evaluate_on), lambda batch: changed(batch, new=self.new))
            found["new"] = self._measure(model, whole, "new", call)
        return found

    def _judged(self, data: Any, part: Part) -> Any:
        """Return ``evaluate_on``, if given, for the test and where training reads a loader; else the training data."""
        elsewhere = self.evaluate_on is not None and (part == "test" or names(data) is None)
        return self.prepare(self.evaluate_on) if elsewhere else data

    def _measure(self, model: nn.Module, data: Any, mask: str, call: Call | None) -> dict[str, float]:
        way = self.call(call)
        pairs = [
            judged_rows(batch, mask, partial(self._scores, model, batch, way), self._labels, self.split)
            for batch in batches(data)
        ]
        check_any(sum(len(labels) for _, labels in pairs), mask)
        scores, labels = (torch.cat([each for each in column if len(each)]) for column in zip(*pairs, strict=True))
        return {name: self.known_metrics[name](scores, labels) for name in self.metrics}

    def _prepared(self, given: Batch) -> Any:
        batch = self._typed(given)
        y = tensor_of(batch, "y")
        labels, known = self._labels(y)
        rows = _count(batch, labels.size(0))
        if labels.size(0) != rows:
            raise ValueError(f"'y' must hold a label for each of {rows} nodes, got {labels.size(0)}")
        entries = {name: selected(batch, name, rows, self.split) for name in MASKS.values() if name in batch}
        for name, mask in entries.items():
            if not bool(known[mask.to(known.device)].all()):
                raise ValueError(
                    f"{name!r} selects nodes whose 'y' is negative or NaN, which stands for unlabelled: take them out, "
                    f"data.{name} &= data.y >= 0"
                )
        entries = entries or {self.labelled: known}
        entries["y"] = labels
        others = {name: entry for name, entry in entries.items() if name not in batch or entry is not batch[name]}
        return changed(batch, **others) if others else batch

    def _typed(self, batch: Batch) -> Any:
        """Copy heterogeneous data with the entries of the task's node type at the top level too."""
        kinds = node_types(batch)
        if not kinds:
            return batch
        graph: Any = batch
        if self.node_type not in kinds:
            labelled = [kind for kind in kinds if "y" in graph[kind]]
            raise ValueError(
                f"heterogeneous data need the node type that is predicted, of {labelled or kinds}: give "
                f"task={type(self).__name__}(node_type={(labelled or kinds)[0]!r}), got {self.node_type!r}"
            )
        own, top = graph[self.node_type], graph._global_store
        entries = {name: own[name] for name in _OF_NODES if name in own and top.get(name) is not own[name]}
        # Data that were prepared before stay: their masks are no longer those of the type.
        return changed(batch, **entries) if entries and "y" not in top else batch


def _check_edges(graph: Batch) -> None:
    """Raise ValueError for an edge of a node that is not there, which on a GPU would end the process."""
    edges = lookup(graph, ("edge_index",)).get("edge_index")
    if isinstance(edges, Tensor) and edges.layout == torch.strided and (rows := _count(graph, 0)):
        check_edge_index(edges, rows)


def _of_type(kind: str, call: Call | None, model: nn.Module, batch: Batch) -> Any:
    view = Viewer(model, call=call)(batch)
    return {"logits": view[kind]} if "logits" not in view and kind in view else view


_of_type.of_type = True  # type: ignore[attr-defined]  # it reads nothing of the batch but the model's inputs


def _count(batch: Batch, otherwise: int) -> int:
    """Count the nodes of a batch by its features, if it has any."""
    features = lookup(batch, ("x",)).get("x")
    return int(features.size(0)) if isinstance(features, Tensor) else otherwise
