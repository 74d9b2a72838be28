"""Node classification: one of several classes for every node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphkd.core.batches import batches, changed, first_batch, mapped, own_rows
from graphkd.core.loss import Loss
from graphkd.core.task import Part, Task
from graphkd.core.view import Batch, Call, names
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL
from graphkd.tasks.metrics import answers

_MASKS = {"train": "train_mask", "val": "val_mask", "test": "test_mask"}


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
    Masks may be boolean (N,) or node ids; labels (N,) or (N, 1). With a neighbour-sampled batch its seeds are judged.

    Example::

        graphkd.distil("kd", student, teacher, data, task=NodeClassification(split=0))
    """

    kind: ClassVar[str] = "node_classification"
    labelled: ClassVar[str] = _MASKS["train"]

    split: int | None = None
    evaluate_on: Any = None
    new: Tensor | None = None

    def prepare(self, data: Any) -> Any:
        """Give the data masks (N,) and labels (N,), in copies of the batches that have others."""
        first = first_batch(data)
        missing = [name for name in ("y", self.labelled) if name not in first]
        if missing:
            raise ValueError(
                f"node classification needs {missing} in the data, which have {names(first)}; for data of another kind "
                "give 'task', one of graphkd.tasks"
            )
        return mapped(data, self._prepared) if self._prepared(first) is not first else data

    def targets(self, batch: Any) -> Tensor:
        """Labels, (n,)."""
        return batch["y"]

    def has(self, part: Part, data: Any) -> bool:
        """Whether the data have a mask of this part with a node in it."""
        first = first_batch(self._judged(data, part))
        return _MASKS[part] in first and (names(data) is None or bool(first[_MASKS[part]].any()))

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:
        """Share of the nodes of a part whose class the model gets right."""
        return {"accuracy": self._accuracy(model, self._judged(data, part), _MASKS[part], call)}

    def scores(self, model: nn.Module, data: Any, call: Call | None = None) -> dict[str, dict[str, float]]:
        """Accuracy on validation and test nodes, and on new ones where there are any."""
        found = super().scores(model, data, call)
        if self.new is not None:
            whole = changed(self.prepare(self.evaluate_on), new=self.new)
            found["new"] = {"accuracy": self._accuracy(model, whole, "new", call)}
        return found

    def _judged(self, data: Any, part: Part) -> Any:
        """What a model is judged on; epochs are chosen on what training sees."""
        return self.prepare(self.evaluate_on) if self.evaluate_on is not None and part == "test" else data

    def _accuracy(self, model: nn.Module, data: Any, mask: str, call: Call | None) -> float:
        right, count = 0, 0
        for batch in batches(data):
            own = own_rows(batch)
            rows = batch[mask][:own]
            found = answers(model, batch, call)[:own].argmax(dim=-1)
            right += int((found[rows] == self.targets(batch).to(found.device)[:own][rows]).sum())
            count += int(rows.sum())
        if not count:
            raise ValueError(f"{mask!r} must select a node at least, to measure accuracy on; it selects none")
        return right / count

    def _prepared(self, batch: Batch) -> Any:
        y = batch["y"]
        entries = {name: self._mask(name, batch[name], y.size(0)) for name in _MASKS.values() if name in batch}
        entries["y"] = y[:, 0] if y.dim() == 2 and y.size(1) == 1 else y
        others = {name: entry for name, entry in entries.items() if entry is not batch[name]}
        return changed(batch, **others) if others else batch

    def _mask(self, name: str, mask: Tensor, rows: int) -> Tensor:
        """A boolean mask (N,), of one column of several, or of node ids."""
        if mask.dim() == 2:
            if self.split is None:
                raise ValueError(
                    f"{name!r} has {mask.size(1)} splits, shape {tuple(mask.shape)}: choose one by "
                    "task=NodeClassification(split=0)"
                )
            mask = mask[:, self.split]
        if mask.dtype != torch.bool:
            if mask.size(0) == rows and int(mask.max()) <= 1:
                raise ValueError(
                    f"{name!r} must be a boolean mask or node ids, got 0 and 1 as {mask.dtype}: use .bool()"
                )
            mask = torch.zeros(rows, dtype=torch.bool, device=mask.device).index_fill(0, mask.long(), True)
        return mask
