"""One student of two tasks that follows the feature directions of a teacher of each (KD4MTL)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.distiller import Distiller
from graphkd.core.ensemble import Ensemble
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen, ask
from graphkd.core.view import Batch, View
from graphkd.losses.features.kd4mtl import KD4MTL
from graphkd.losses.response.pseudo_label import PseudoLabel
from graphkd.schemes.teachers.must import TaskHeads, called_with_heads


class TaskFeatures(Ensemble):
    """Teachers of one task each, whose hidden layers a distiller taps by the name of the task."""

    def __init__(self, teachers: Mapping[str, nn.Module | Frozen], classes: int) -> None:
        super().__init__(list(teachers.values()))
        self.tasks, self.classes = list(teachers), classes

    def attach(self, taps: Mapping[str, str]) -> None:
        """Register with each teacher the hidden layer of its task."""
        for task, member in zip(self.tasks, self.members, strict=True):
            member.attach({task: taps[task]})

    def __call__(self, batch: Batch, taps: Mapping[str, str] | None = None) -> View:
        """Return every teacher's layer under the name of its task, and as ``second`` the labels of the second."""
        paths = taps or {}
        pairs = zip(self.tasks, self.members, strict=True)
        view = {task: ask(member, batch, {task: paths[task]})[task] for task, member in pairs}
        if "second" in batch:  # labels as logits, of which only the argmax counts
            view["second"] = 2.0 * F.one_hot(batch["second"].clamp(min=0), self.classes).to(view[self.tasks[0]])
        return view


@method(
    "kd4mtl",
    family="teachers",
    paper="Li and Bilen, 2020",
    arxiv="2007.06889",
    survey=(140,),
    needs=("hidden", "other_teacher", "second"),
)
def kd4mtl(
    problem: Problem, *, other_teacher: nn.Module | Frozen, second: Tensor, weight: float = 1.0, heads: bool = False
) -> nn.Module:
    """Learn two tasks, guided by the feature directions of a teacher of each; choose it where tasks compete.

    ``second``: (N,), labels of the second task by node id, 0, 1 ... and -1 for none; give test nodes -1.
    ``other_teacher`` was trained on that task alone, as the teacher on the first; its hidden layer is at the teacher's
    path. The student gets a linear head for the second task on its hidden layer. The loss is that of both tasks' labels
    plus, for each teacher, ``weight`` times ``KD4MTL`` between the student's hidden layer and the teacher's, through a
    linear layer per task, on all rows. Returns the student without the head, or with ``heads=True`` with it, whose
    answer is a mapping of "logits" and "second". The paper weights its three tasks by hand, 1, 1 and 2; here all weigh
    the same. Raises ValueError unless ``second`` has two classes at least.
    """
    _check(problem, second)
    other = other_teacher if isinstance(other_teacher, Frozen) else problem.taught_by(other_teacher)
    student, path = problem.student, problem.path_of(problem.student) or ""
    teacher_path = problem.path_of(problem.teacher) or ""
    width, count = problem.width_of(student), int(second.max()) + 1
    made = problem.made(lambda: nn.ModuleDict({"second": nn.Linear(width, count)}))
    pairs = {"own": problem.width_of(problem.teacher), "other": _width(problem, other, teacher_path)}
    losses: dict[str, Loss] = {
        "labels": problem.supervised(),
        "second": PseudoLabel(0.0, on="second", where="second_known"),
    }
    losses |= {task: weight * KD4MTL(width, wide, on=task) for task, wide in pairs.items()}
    distiller = Distiller(
        TaskHeads(student, path, made),
        TaskFeatures({"own": problem.teacher, "other": other}, count),
        losses,
        taps=dict.fromkeys(pairs, (f"model.{path}", teacher_path)),
        call=called_with_heads(problem.call_of(student)),
    )
    data = problem.with_values(second=second, second_known=second >= 0)
    return problem.train(distiller, data=data, serve=None if heads else lambda model: model.model)


def _check(problem: Problem, second: Tensor) -> None:
    whole = not (second.is_floating_point() or second.dtype == torch.bool)
    if second.shape != (problem.nodes,) or not whole or int(second.max()) < 1:
        raise ValueError(
            f"'second' must hold labels of two classes at least, integers of shape ({problem.nodes},), -1 for none; "
            f"got {second.dtype} of shape {tuple(second.shape)}"
        )


def _width(problem: Problem, teacher: Frozen, path: str) -> int:
    """Return the width of a teacher's hidden layer."""
    return int(ask(teacher, problem.first, {"hidden": path})["hidden"].size(-1))
