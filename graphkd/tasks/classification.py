"""Node classification: one of several classes for every node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from graphkd.core.batches import batches, changed, first_batch, mapped
from graphkd.core.loss import Loss
from graphkd.core.masks import read_labels
from graphkd.core.task import Part, Task
from graphkd.core.view import Batch, Call, names
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL
from graphkd.tasks.metrics import check_any, right_rows, selected, tensor_of
from graphkd.tasks.splits import MASKS


class Classification(Task):
    """The losses of one class a row; a mixin of tasks."""

    def supervised(self, where: str | None = None) -> Loss:
        """Cross-entropy of the labels."""
        return CE(where=where or self.labelled)

    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:
        """KL divergence from the teacher's softened classes, times the temperature squared."""
        return KL(temperature, where=where)


@dataclass(frozen=True)
class NodeClassification(Classification):
    """One class a node: ``y`` (N,), and the masks ``train_mask``, ``val_mask`` and ``test_mask``; judged by accuracy.

    split: which column of masks (N, k). evaluate_on: the whole graph, or a loader, to judge models on, where training
    sees a part of it. new: a mask over its nodes that training did not see, whose score stands apart as "new".
    Masks may be boolean (N,) or node ids; labels (N,) or (N, 1). Of data without any mask all labelled nodes are
    learnt. With a neighbour-sampled batch its seeds are judged.

    Example::

        graphkd.distil("kd", student, teacher, data, task=NodeClassification(split=0))
    """

    kind: ClassVar[str] = "node_classification"
    labelled: ClassVar[str] = MASKS["train"]

    split: int | None = None
    evaluate_on: Any = None
    new: Tensor | None = None

    def prepare(self, data: Any) -> Any:
        """Give the data masks (N,) and labels (N,), in copies of the batches that have others."""
        first = first_batch(data)
        wanted = ("y", self.labelled) if any(name in first for name in MASKS.values()) else ("y",)
        missing = [name for name in wanted if name not in first]
        if missing:
            raise ValueError(
                f"node classification needs {missing} in the data, which have {names(first)}; for data of another kind "
                "give 'task', one of graphkd.tasks"
            )
        ready = self._prepared(first)
        if names(data) is not None:
            check_any(int(ready[self.labelled].sum()), self.labelled)
            return ready
        return data if ready is first else mapped(data, self._prepared)

    def targets(self, batch: Any) -> Tensor:
        """Labels, (n,)."""
        return batch["y"]

    def has(self, part: Part, data: Any) -> bool:
        """Whether the data have a mask of this part with a node in it."""
        first = first_batch(self._judged(data, part))
        return MASKS[part] in first and (names(data) is None or bool(first[MASKS[part]].any()))

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:
        """Share of the nodes of a part whose class the model gets right."""
        return {"accuracy": self._accuracy(model, self._judged(data, part), MASKS[part], call)}

    def scores(self, model: nn.Module, data: Any, call: Call | None = None) -> dict[str, dict[str, float]]:
        """Accuracy on validation and test nodes, and on new ones where there are any."""
        found = super().scores(model, data, call)
        if self.new is not None:
            whole = mapped(self.prepare(self.evaluate_on), lambda batch: changed(batch, new=self.new))
            found["new"] = {"accuracy": self._accuracy(model, whole, "new", call)}
        return found

    def _judged(self, data: Any, part: Part) -> Any:
        """What a model is judged on; epochs are chosen on what training sees."""
        return self.prepare(self.evaluate_on) if self.evaluate_on is not None and part == "test" else data

    def _accuracy(self, model: nn.Module, data: Any, mask: str, call: Call | None) -> float:
        counts = [right_rows(model, batch, mask, call=call) for batch in batches(data)]
        return sum(right for right, _ in counts) / check_any(sum(count for _, count in counts), mask)

    def _prepared(self, batch: Batch) -> Any:
        labels = read_labels(tensor_of(batch, "y"))
        rows = count_nodes(batch)
        if labels.size(0) != rows:
            raise ValueError(f"'y' must hold a label for each of {rows} nodes, got {labels.size(0)}")
        entries = {name: selected(batch, name, rows, self.split) for name in MASKS.values() if name in batch}
        for name, mask in entries.items():
            if bool((labels[mask.to(labels.device)] < 0).any()):
                raise ValueError(
                    f"{name!r} selects nodes whose 'y' is negative or NaN, which stands for unlabelled: take them out, "
                    f"data.{name} &= data.y >= 0"
                )
        entries = entries or {self.labelled: labels >= 0}
        entries["y"] = labels
        others = {name: entry for name, entry in entries.items() if name not in batch or entry is not batch[name]}
        return changed(batch, **others) if others else batch


def count_nodes(batch: Batch) -> int:
    """Count the nodes of a batch, by its features where it has such."""
    return int(batch["x" if "x" in batch and isinstance(batch["x"], Tensor) else "y"].size(0))
