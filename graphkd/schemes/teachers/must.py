"""Specialised teachers of several tasks, and one student of them all (MuST)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from graphkd.core.distiller import Distiller
from graphkd.core.ensemble import Ensemble
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen, cached
from graphkd.core.view import Batch, Taps, View
from graphkd.losses.response.ce import CE
from graphkd.losses.response.pseudo_label import PseudoLabel


class Specialists(Ensemble):
    """Teachers of a task each, whose answers stand side by side: task -> (N, C_task).

    They may answer in different shapes. A loss reads one by ``on="task"``.
    """

    def __init__(self, teachers: Mapping[str, nn.Module | Frozen]) -> None:
        super().__init__(list(teachers.values()))
        self.tasks = list(teachers)

    def __call__(self, batch: Batch) -> View:
        """Show every teacher's logits under the name of its task."""
        return {task: member(batch)["logits"] for task, member in zip(self.tasks, self.members, strict=True)}


class TaskHeads(nn.Module):
    """A model with heads for further tasks on one of its hidden layers; shows ``logits`` and one entry a head.

    hidden: a tap path; its layer's rows go to each head through a ReLU. Without its heads, ``model`` is as it came. A
    model of your own that shows a mapping does as well.
    """

    def __init__(self, model: nn.Module, hidden: str, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if "logits" in heads:
            raise ValueError(f"'heads' must not be named 'logits', which are the model's, got {sorted(heads)}")
        self.model, self.heads = model, nn.ModuleDict(heads)
        self._taps = Taps(model, {"hidden": hidden})

    @property
    def forward(self) -> Callable[..., dict[str, Tensor]]:  # type: ignore[override]
        """What the model's ``forward`` takes, so that it can be filled by name -> logits, and each head's rows."""

        @functools.wraps(self.model.forward)
        def answer(*inputs: Any, **named: Any) -> dict[str, Tensor]:
            self._taps.open()
            logits = self.model(*inputs, **named)
            hidden = self._taps.take()["hidden"].relu()
            return {"logits": logits, **{task: head(hidden) for task, head in self.heads.items()}}

        return answer


def must(
    student: nn.Module,
    teachers: Mapping[str, nn.Module | Frozen],
    data: Batch,
    losses: Mapping[str, Loss] | None = None,
    *,
    threshold: float = 0.5,
    supervised: Loss | None = None,
    **options: Any,
) -> nn.Module:
    """One student of several tasks from a pool that specialised teachers label. Ghiasi et al., ICCV 2021 (MuST).

    Choose it where each task has its own trained model and its own labelled data, and one model shall serve all: no row
    needs labels of every task, or any. ``student`` shows an entry a task (``TaskHeads``), ``teachers`` are by the same
    names. losses: of each task by name, with ``on=task`` and the caller's weight; where none is given, the hard
    ``PseudoLabel(threshold)`` of classes. A regression takes ``FeatureDistance("l1", on=task)``, a click
    ``SoftBCE(on=task)``; ``where`` leaves out rows that a teacher cannot label. supervised: by default
    CE(where="train_mask") of ``logits``. The paper weights a task by (b_s r_i) / (b_i r_s), b and r the batch size and
    learning rate of its teacher i and the student s; 0.5 and the hard labels are as we remember them. options go to
    ``fit``. arXiv:2108.11353. ``KD4MTL`` compares the hidden layers of such teachers instead.
    """
    unknown = sorted(set(losses or {}) - set(teachers))
    if unknown:
        raise ValueError(f"'losses' must be of the teachers' tasks {sorted(teachers)}, got {unknown} besides")
    known = Specialists({task: cached(teacher, data) for task, teacher in teachers.items()})
    terms: dict[str, Loss] = {"labels": CE(where="train_mask") if supervised is None else supervised}
    for task in teachers:
        given = (losses or {}).get(task)
        terms[task] = PseudoLabel(threshold, on=task) if given is None else given
    return fit(Distiller(student, known, terms), data, **options)
