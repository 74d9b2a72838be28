"""Cross-entropy with soft targets: weighted by class, conditional on the teacher being right, or made hard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_labels, check_positive, check_same_shape


def _entropies(student: Tensor, teacher: Tensor, temperature: float, class_weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of every row of softened logits: (N, C), (N, C) -> (N,), in float32 at least."""
    check_positive("temperature", temperature)
    s, t = (logits.to(accumulation_dtype(logits)) / temperature for logits in (student, teacher))
    terms = t.softmax(dim=-1) * F.log_softmax(s, dim=-1)
    if class_weights is not None:
        if class_weights.shape != student.shape[-1:]:
            raise ValueError(
                f"'class_weights' must hold one of each of the {student.size(-1)} classes, "
                f"got shape {tuple(class_weights.shape)}"
            )
        terms = terms * class_weights.to(terms.dtype)
    return -terms.sum(dim=-1)


def soft_cross_entropy(
    student: Tensor, teacher: Tensor, temperature: float = 1.0, *, class_weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy of softened probabilities, the mean over rows: (N, C), (N, C), (C,) -> scalar; see ``SoftCE``."""
    check_same_shape(student, teacher)
    entropies = _entropies(student, teacher, temperature, class_weights)
    return entropies.sum() / max(entropies.numel(), 1)


class SoftCE(Loss):
    """Cross-entropy with soft targets, its classes weighted. Chen et al., NeurIPS 2017.

    -mean_i sum_c w_c softmax(t_i / T)_c log softmax(s_i / T)_c, without T^2; student, teacher: (N, C), logits or
    log-probabilities. ``class_weights``: (C,), of 1 by default; the paper gives the background class 1.5, here that of
    "no interaction". It is also what defensive distillation trains on, alone and at a high T (20 to 100), tested at
    T = 1: Papernot et al., S&P 2016, arXiv:1511.04508, a baseline that masks gradients rather than a protection.
    Without weights it is ``KL(T, rescale=False)`` plus the entropy of the teacher.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        temperature: float = 1.0,
        *,
        class_weights: Sequence[float] | Tensor | None = None,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.temperature = check_positive("temperature", temperature)
        self.register_buffer("class_weights", None if class_weights is None else torch.as_tensor(class_weights))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return soft_cross_entropy(student, teacher, self.temperature, class_weights=self.class_weights)


def is_right(teacher: Tensor, y: Tensor) -> Tensor:
    """Where a teacher's, or each of several teachers', first class is the label: (..., N, C), (N,) -> (..., N)."""
    return teacher.argmax(dim=-1) == y


def conditional_teacher_student(student: Tensor, teacher: Tensor, y: Tensor, temperature: float = 1.0) -> Tensor:
    """Soft targets where the teacher is right, labels elsewhere: (N, C), (N, C), (N,) -> scalar; see ``ConditionalTS``.

    ``is_right`` tells which rows get soft targets.
    """
    check_same_shape(student, teacher)
    check_labels(y, student.size(0), student.size(-1))
    soft = _entropies(student, teacher, temperature)
    hard = F.cross_entropy(student.to(soft.dtype), y, reduction="none")
    return torch.where(is_right(teacher, y), soft, hard).sum() / max(soft.numel(), 1)


class ConditionalTS(Loss):
    """Conditional teacher-student: the teacher where it is right, the label elsewhere. Meng et al., ICASSP 2019.

    mean_i CE(s_i, p_i) with p_i = softmax(t_i) where argmax t_i = y_i, onehot(y_i) elsewhere; student, teacher: (N, C),
    y: (N,) integers in [0, C). A temperature, which is ours, softens both sides where the teacher is right, without
    T^2. The paper knows no unlabelled rows: give those ``KL(where="~train_mask")``.
    """

    rows: ClassVar[tuple[str, ...]] = ("y",)

    def __init__(self, temperature: float = 1.0, *, on: str | None = None, where: str | None = None) -> None:
        super().__init__(on=on, where=where)
        self.temperature = check_positive("temperature", temperature)

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor) -> Tensor:
        """See the class."""
        return conditional_teacher_student(student, teacher, y, self.temperature)


def is_confident(teacher: Tensor, threshold: float) -> Tensor:
    """Where the largest probability is ``threshold`` at least: (N, C) -> (N,)."""
    return teacher.to(accumulation_dtype(teacher)).softmax(dim=-1).amax(dim=-1) >= threshold


def pseudo_label(student: Tensor, teacher: Tensor, threshold: float = 0.9) -> Tensor:
    """Cross-entropy with confident hard pseudo-labels: (N, C), (N, C) -> scalar; see ``PseudoLabel``."""
    check_same_shape(student, teacher)
    entropies = F.cross_entropy(student.to(accumulation_dtype(student)), teacher.argmax(dim=-1), reduction="none")
    return torch.where(is_confident(teacher, threshold), entropies, 0).sum() / max(entropies.numel(), 1)


class PseudoLabel(Loss):
    """Consistency with the teacher's confident decisions. Sohn et al., 2020, arXiv:2005.04757 (STAC).

    (1/N) sum_i [max softmax(t_i) >= threshold] CE(s_i, argmax t_i): divided by all N rows, the unsure ones too;
    student, teacher: (N, C). The student sees a perturbed graph, the teacher the clean one. Weight 2 in the paper.
    """

    def __init__(self, threshold: float = 0.9, *, on: str | None = None, where: str | None = None) -> None:
        super().__init__(on=on, where=where)
        self.threshold = threshold

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return pseudo_label(student, teacher, self.threshold)
