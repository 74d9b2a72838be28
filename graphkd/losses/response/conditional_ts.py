"""Soft targets where the teacher is right, labels elsewhere."""

from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import check_positive, check_same_shape, class_ids_of
from graphkd.losses.response._entropies import soft_entropies


def is_right(teacher: Tensor, y: Tensor) -> Tensor:
    """Mark rows whose label is the likeliest class of a teacher, or of each of several: (..., N, C), (N,) -> (..., N).

    Example::

        >>> logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 3.0]])
        >>> is_right(logits, torch.tensor([0, 1]))
        tensor([ True, False])
    """
    if teacher.dim() < 2 or y.shape != teacher.shape[-2:-1]:
        raise ValueError(
            f"'y' must hold a class of each row of 'teacher', {tuple(teacher.shape)}, got {tuple(y.shape)}"
        )
    return teacher.argmax(dim=-1) == y


def conditional_teacher_student(student: Tensor, teacher: Tensor, y: Tensor, temperature: float = 1.0) -> Tensor:
    """Take soft targets where the teacher is right, else labels: (N, C), (N, C), (N,) -> scalar; see ``ConditionalTS``.

    ``is_right`` tells which rows get soft targets.
    """
    check_same_shape(student, teacher)
    y = class_ids_of(student, y)
    soft = soft_entropies(student, teacher, temperature)
    hard = F.cross_entropy(student.to(soft.dtype), y, reduction="none")
    return torch.where(is_right(teacher, y), soft, hard).sum() / max(soft.numel(), 1)


class ConditionalTS(Loss):
    """Learn from the teacher where it is right, from the label elsewhere. Meng et al., ICASSP 2019.

    mean_i CE(s_i, p_i) with p_i = softmax(t_i) where argmax t_i = y_i, onehot(y_i) elsewhere; student, teacher: (N, C),
    y: (N,) integers in [0, C). ``temperature``, our addition, softens both sides where the teacher is right, without
    T^2. The paper has no unlabelled rows: add ``KL(where="~train_mask")`` for them.

    Example::

        >>> loss, logits = ConditionalTS(), torch.tensor([[-20.0, 20.0]])
        >>> round(float(loss(logits, -logits, y=torch.tensor([1]))), 3)  # the teacher is wrong: the label counts
        0.0
        >>> round(float(loss(logits, -logits, y=torch.tensor([0]))), 3)  # it is right
        40.0
        >>> loss = ConditionalTS(2.0, where="train_mask")
        >>> result = graphkd.distil(loss, student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"
    rows = ("y",)

    def __init__(self, temperature: float = 1.0, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.temperature = check_positive("temperature", temperature)

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor) -> Tensor:
        return conditional_teacher_student(student, teacher, y, self.temperature)


@method("conditional_ts", family="response", paper="Meng et al., ICASSP 2019", survey=(50,), tasks=("classes",))
def conditional_ts_method(problem: Problem, *, temperature: float = 1.0) -> Loss:
    """Learn from the teacher where it is right and from the label where it is not; elsewhere from the teacher.

    Choose it where the teacher errs on labelled rows and no hyper-parameter should need tuning. The paper has no
    unlabelled rows; here the student learns soft targets on them.
    """
    seen = ConditionalTS(temperature, where=problem.labelled)
    return seen + problem.soft(temperature, where=f"~{problem.labelled}")
