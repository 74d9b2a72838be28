"""SFTN: a teacher trained beside pieces of the student, so that it becomes easy to learn from.

Park, Cha, Jeong, Kim and Han, "Learning Student-Friendly Teacher Networks for Knowledge Distillation", NeurIPS 2021,
arXiv:2102.07650.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.by_name import Inputs
from graphkd.core.distiller import Step
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, Viewer
from graphkd.losses._checks import class_ids
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import kl
from graphkd.schemes._rows import chosen_rows
from graphkd.schemes.teachers._combine import check_stack

WEIGHTS = (1.0, 3.0, 1.0)


def sftn_loss(
    teacher: Tensor,
    branches: Tensor,
    y: Tensor,
    temperature: float = 1.0,
    *,
    weights: tuple[float, float, float] = WEIGHTS,
) -> Tensor:
    """Compute w_1 CE(t, y) + w_2 sum_b KL(q_b || p) + w_3 sum_b CE(b, y): (N, C), (B, N, C), (N,) -> scalar.

    p = softmax(t / T) and q_b = softmax(b / T); the gradient goes into teacher and branches. There is no factor T^2;
    weights and direction are from memory of the paper, since we have seen no code of the authors.
    """
    check_stack(branches)
    y = class_ids(y, teacher.size(0), teacher.size(-1))
    loss = weights[0] * cross_entropy(teacher, y)
    for branch in branches:
        loss = loss + weights[1] * kl(teacher, branch, temperature, rescale=False)
        loss = loss + weights[2] * cross_entropy(branch, y)
    return loss


class StudentFriendly(Trainable):
    """Teacher in training with branches of the student's kind on its hidden layers; ``fit`` returns the teacher.

    branches: name -> (tap path in the teacher, a module hidden -> logits). The module maps to the student's width, then
    applies the student's remaining layers (the tap may be before a ReLU); further arguments of its ``forward`` are
    filled from the batch by name. The loss is ``sftn_loss`` on the rows of ``where`` (None: all). The branches are
    discarded afterwards. call: replaces the by-name call of the teacher. Raises ValueError without branches.
    """

    def __init__(
        self,
        teacher: nn.Module,
        branches: Mapping[str, tuple[str, nn.Module]],
        *,
        where: str | None,
        temperature: float = 1.0,
        weights: tuple[float, float, float] = WEIGHTS,
        call: Call | None = None,
    ) -> None:
        super().__init__()
        if not branches:
            raise ValueError("'branches' must hold one at least, got none")
        self.student = teacher  # what ``fit`` trains, measures and gives back
        self.branches = nn.ModuleDict({name: branch for name, (_, branch) in branches.items()})
        self.temperature, self.weights, self.where = temperature, weights, where
        taps = {name: path for name, (path, _) in branches.items()}
        self._viewer = self.hold(Viewer(teacher, taps=taps, call=call))

    def forward(self, batch: Batch) -> Step:
        """Compute the loss of teacher and branches."""
        view = self._viewer(batch)
        rows = chosen_rows(batch, self.where, view["logits"].size(0), view["logits"].device)
        answers = []
        for name, branch in self.branches.items():
            inputs = Inputs(branch.forward, skip=1).of(batch, f"branch {name!r}")[0]
            answers.append(branch(view[name], **inputs)[rows])
        y = batch["y"][rows]
        loss = sftn_loss(view["logits"][rows], torch.stack(answers), y, self.temperature, weights=self.weights)
        return Step(loss, {"sftn": loss.detach()})


@method(
    "sftn",
    family="teachers",
    paper="Park et al., NeurIPS 2021",
    arxiv="2102.07650",
    survey=(84,),
    tasks=("classes",),
    needs=("hidden",),
    cannot={"ensemble": "it trains a new teacher of its teacher's kind"},
    space={"label_weight": (0.003, 0.97)},
)
def sftn(
    problem: Problem,
    *,
    teacher_weight: float = 1.0,
    divergence_weight: float = 3.0,
    branch_weight: float = 1.0,
    branch_temperature: float = 1.0,
    label_weight: float = 0.1,
    temperature: float = 4.0,
    branch: nn.Module | None = None,
) -> nn.Module:
    """Train a new teacher of the teacher's kind beside a piece of the student, then teach the student by it.

    Choose it where you can train the teacher and know in advance which student will learn from it. The first stage
    trains the teacher, from new weights, by ``sftn_loss`` on labelled rows with the three weights and
    ``branch_temperature``; the second the student by ``label_weight`` CE + (1 - label_weight) KL(``temperature``).
    branch: from the teacher's hidden layer to logits, by default ReLU, linear to the student's width, ReLU, linear: the
    paper's branches are the student's own layers. Costs both trainings.
    """
    teacher = problem.fresh(problem.teacher_to_train(), 1)
    path: Any = problem.path_of(teacher)
    branch = branch or problem.made(lambda: _branch(*problem.widths, problem.classes))
    options: dict[str, Any] = {"temperature": branch_temperature, "where": problem.labelled}
    options["weights"] = (teacher_weight, divergence_weight, branch_weight)
    friendly = StudentFriendly(teacher, {"branch": (path, branch)}, call=problem.call_of(teacher), **options)
    teacher = problem.train(friendly, "teacher")
    losses = label_weight * problem.supervised() + (1 - label_weight) * problem.soft(temperature)
    return problem.train(problem.distiller(problem.student, teacher, losses))


def _branch(width: int, teacher_width: int, classes: int) -> nn.Module:
    rest = nn.Linear(width, classes)  # made first, for the order of random draws
    return nn.Sequential(nn.ReLU(), nn.Linear(teacher_width, width), nn.ReLU(), rest)
