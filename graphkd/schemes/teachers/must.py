"""Specialised teachers of several tasks, and one student of them all (MuST)."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from graphkd.core.by_name import Inputs
from graphkd.core.distiller import Distiller
from graphkd.core.ensemble import Ensemble
from graphkd.core.method import method
from graphkd.core.models import shown
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call, Taps, View
from graphkd.losses.response.pseudo_label import PseudoLabel


class Specialists(Ensemble):
    """Teachers of one task each, whose answers are returned by task: task -> (N, C_task).

    They may answer in different shapes. A loss reads one by ``on="task"``.
    """

    def __init__(self, teachers: Mapping[str, nn.Module | Frozen]) -> None:
        super().__init__(list(teachers.values()))
        self.tasks = list(teachers)

    def __call__(self, batch: Batch, taps: Mapping[str, str] | None = None) -> View:  # noqa: ARG002 - logits alone
        """Return every teacher's logits under the name of its task."""
        return {task: member(batch)["logits"] for task, member in zip(self.tasks, self.members, strict=True)}


class TaskHeads(nn.Module):
    """Model with heads for further tasks on one of its hidden layers; returns ``logits`` and one entry per head.

    hidden: a tap path; each head gets the rows of this layer, after a ReLU, and by name those of the model's inputs
    that it takes, such as ``batch`` for a readout. ``model`` itself is unchanged. Any model that returns such a mapping
    can take its place. Raises ValueError for a head called "logits".
    """

    def __init__(self, model: nn.Module, hidden: str, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if "logits" in heads:
            raise ValueError(f"'heads' must not be named 'logits', which are the model's, got {sorted(heads)}")
        self.model, self.heads = model, nn.ModuleDict(heads)
        self._taps = Taps(model, {"hidden": hidden})
        self._inputs = {task: Inputs(head.forward, skip=1) for task, head in heads.items()}

    def with_heads(self, ask: Callable[[], Any], given: Batch | None = None) -> dict[str, Tensor]:
        """Add each head's rows to the model's view, which ``ask`` computes; ``given`` has the heads' further inputs."""
        with self._taps.watch() as seen:
            shown = ask()
        hidden = seen.take()["hidden"].relu()
        view = {"logits": shown} if isinstance(shown, Tensor) else dict(shown)
        known: Batch = {} if given is None else given
        besides = {task: inputs.of(known, f"the head {task!r}")[0] for task, inputs in self._inputs.items()}
        return {**view, **{task: head(hidden, **besides[task]) for task, head in self.heads.items()}}

    @property
    def forward(self) -> Callable[..., dict[str, Tensor]]:  # type: ignore[override]
        """Return a ``forward`` with the model's arguments, to be filled by name -> logits, and each head's rows."""

        @functools.wraps(self.model.forward)
        def answer(*inputs: Any, **named: Any) -> dict[str, Tensor]:
            given = inspect.signature(self.model.forward).bind(*inputs, **named).arguments
            return self.with_heads(lambda: self.model(*inputs, **named), given)

        return answer


@method(
    "must",
    family="teachers",
    paper="Ghiasi et al., ICCV 2021",
    arxiv="2108.11353",
    survey=(10, 144),
    needs=("hidden", "other_teacher"),
    space={"threshold": (0.1, 0.95)},
)
def must(
    problem: Problem, *, other_teacher: nn.Module | Frozen, threshold: float = 0.5, heads: bool = False
) -> nn.Module:
    """Learn two tasks from specialised teachers; choose it where another task's labels help and no row has them all.

    ``other_teacher`` answers the other task, with any number of classes, and is called as the student is unless it is
    ``Frozen``. Besides the labels' loss, two linear heads on the student's hidden layer learn the top classes of the
    teacher and of the other teacher, on every row where its probability is at least ``threshold``. Returns the student
    without the heads, or with ``heads=True`` with them, whose answer is a mapping of "logits", "own" and "other". A
    step costs both teachers' forward passes, which run only once for a single graph.

    The paper weights a task by (b_s r_i) / (b_i r_s), b and r the batch size and learning rate of its teacher i and the
    student s; here all weigh 1. The threshold and the hard labels are from memory. ``KD4MTL`` compares the hidden
    layers of such teachers instead; ``Specialists`` and ``TaskHeads`` serve for more tasks, of other kinds, in loops of
    your own.
    """
    student, path = problem.student, problem.path_of(problem.student) or ""
    other = other_teacher if isinstance(other_teacher, Frozen) else problem.taught_by(other_teacher)
    specialists = {"own": problem.teacher, "other": other}
    width, classes = problem.width_of(student), {"own": problem.classes, "other": _classes(problem, other)}
    made = problem.made(lambda: nn.ModuleDict({task: nn.Linear(width, many) for task, many in classes.items()}))
    whole = TaskHeads(student, path, made)
    losses = {"labels": problem.supervised(), **{task: PseudoLabel(threshold, on=task) for task in specialists}}
    distiller = Distiller(whole, Specialists(specialists), losses, call=called_with_heads(problem.call_of(student)))
    return problem.train(distiller, serve=None if heads else lambda model: model.model)


def _classes(problem: Problem, teacher: Frozen) -> int:
    """Return the width of a teacher's answers."""
    with shown(teacher) as show:
        return int(show(problem.first)["logits"].size(-1))


def called_with_heads(call: Call | None) -> Call | None:
    """Make the ``call`` of a student with heads, where the student has one."""

    def called(whole: Any, batch: Any) -> Any:
        return whole.with_heads(lambda: call and call(whole.model, batch), batch)

    return called if call else None
