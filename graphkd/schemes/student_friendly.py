"""SFTN: a teacher trained beside pieces of the student, so that it becomes easy to learn from.

Park, Cha, Jeong, Kim and Han, "Learning Student-Friendly Teacher Networks for Knowledge Distillation", NeurIPS 2021,
arXiv:2102.07650.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.fit import fit
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Viewer, fill, required
from graphkd.losses._checks import check_labels
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import kl
from graphkd.schemes.weights import check_stack

WEIGHTS = (1.0, 3.0, 1.0)


def sftn_loss(
    teacher: Tensor,
    branches: Tensor,
    y: Tensor,
    temperature: float = 1.0,
    *,
    weights: tuple[float, float, float] = WEIGHTS,
) -> Tensor:
    """w_1 CE(t, y) + w_2 sum_b KL(q_b || p) + w_3 sum_b CE(b, y): (N, C), (B, N, C), (N,) -> scalar.

    p = softmax(t / T) and q_b = softmax(b / T); the gradient goes into teacher and branches. Without T^2, and weights
    and direction as remembered from the paper: we have seen no code of the authors.
    """
    check_stack(branches)
    check_labels(y, teacher.size(0), teacher.size(-1))
    loss = weights[0] * cross_entropy(teacher, y)
    for branch in branches:
        loss = loss + weights[1] * kl(teacher, branch, temperature, rescale=False)
        loss = loss + weights[2] * cross_entropy(branch, y)
    return loss


class StudentFriendly(Trainable):
    """A teacher in training with branches of the student's kind on its hidden layers; ``fit`` gives the teacher.

    branches: name -> (tap path in the teacher, a module hidden -> logits): a transform to the student's width, then
    what the student has from there on (the tap may be before a ReLU); what its ``forward`` takes besides is filled from
    the batch by name. The loss is ``sftn_loss`` on the rows of ``where``. The branches are thrown away afterwards.
    """

    def __init__(
        self,
        teacher: nn.Module,
        branches: Mapping[str, tuple[str, nn.Module]],
        *,
        temperature: float = 1.0,
        weights: tuple[float, float, float] = WEIGHTS,
        where: str = "train_mask",
    ) -> None:
        super().__init__()
        if not branches:
            raise ValueError("'branches' must hold one at least, got none")
        self.student = teacher  # what ``fit`` trains, measures and gives back
        self.branches = nn.ModuleDict({name: branch for name, (_, branch) in branches.items()})
        self.temperature, self.weights, self.where = temperature, weights, where
        self._viewer = self.hold(Viewer(teacher, taps={name: path for name, (path, _) in branches.items()}))

    def forward(self, batch: Batch) -> Step:
        """The loss of teacher and branches."""
        view, rows = self._viewer(batch), batch[self.where]
        answers = []
        for name, branch in self.branches.items():
            facts = fill(required(branch.forward)[1:], batch, f"branch {name!r}")
            answers.append(branch(view[name], **facts)[rows])
        loss = sftn_loss(
            view["logits"][rows], torch.stack(answers), batch["y"][rows], self.temperature, weights=self.weights
        )
        return Step(loss, {"sftn": loss.detach()})


def student_friendly(
    teacher: nn.Module, branches: Mapping[str, tuple[str, nn.Module]], data: Any, *, knobs: Any = None, **options: Any
) -> nn.Module:
    """Train a teacher for a student; choose it where you train the teacher yourself and know who will learn from it.

    knobs: of ``StudentFriendly``; options go to ``fit``. Then distil as usual.
    """
    return fit(StudentFriendly(teacher, branches, **(knobs or {})), data, **options)
