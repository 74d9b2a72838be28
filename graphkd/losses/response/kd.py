"""Soft targets: the teacher's softened class probabilities (KD)."""

from dataclasses import dataclass
from typing import Literal, Self, Unpack

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_same_shape, choose

Reduction = Literal["batchmean", "elementmean"]


_KEPT = 1 << 24  # largest number of teacher logits that are softened once and cached: 64 MB in float32


@dataclass(frozen=True)
class Softened:
    """A teacher's log-probabilities at a temperature, (N, C)."""

    log_prob: Tensor

    @classmethod
    def of(cls, logits: Tensor, temperature: float) -> Self:
        """Soften in float32 at least: log-probabilities in half precision do not sum to 1, and KL may be below 0."""
        return cls(F.log_softmax(logits.to(accumulation_dtype(logits)) / temperature, dim=-1))


def kl(
    student: Tensor,
    teacher: Tensor | Softened,
    temperature: float = 1.0,
    *,
    reduction: Reduction = "batchmean",
    rescale: bool = True,
) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)): (N, C), (N, C) -> scalar; see ``KL``.

    At T = 1 either side may be log-probabilities. ``teacher`` may be ``Softened`` at the same temperature.

    Example::

        >>> s, t = torch.zeros(1, 2), torch.tensor([[20.0, -20.0]])
        >>> round(float(kl(s, t)), 3)  # log 2
        0.693
        >>> round(float(kl(s, t, reduction="elementmean")), 3)  # divided by two classes too
        0.347
        >>> round(float(kl(s.log_softmax(dim=1), t)), 3)
        0.693
    """
    check_same_shape(student, teacher if isinstance(teacher, Tensor) else teacher.log_prob)
    choose("reduction", reduction, Reduction)
    check_positive("temperature", temperature)
    target = Softened.of(teacher, temperature) if isinstance(teacher, Tensor) else teacher
    log_prob = Softened.of(student, temperature).log_prob
    total = F.kl_div(log_prob, target.log_prob, reduction="sum", log_target=True)
    count = student.numel() // student.size(-1) if reduction == "batchmean" else student.numel()
    return total / max(count, 1) * (temperature**2 if rescale else 1.0)


class KL(Loss):
    """Match the teacher's class probabilities, softened by a temperature. Hinton et al., 2015, arXiv:1503.02531.

    T^2 mean_i KL(softmax(t_i / T) || softmax(s_i / T)); student, teacher: (N, C).
    ``reduction="batchmean"`` sums over classes and averages over rows. ``"elementmean"`` divides by N C, the default
    of ``torch.nn.KLDivLoss`` that efficient-gnns and others use: C times smaller. ``rescale=False`` drops T^2: then
    multiply weight decay in the gradient (Adam's) by 1 / T^2 too, or replace it by AdamW's.

    Example::

        >>> logits = torch.tensor([[2.0, 1.0, 0.0]])
        >>> round(float(KL(4.0)(torch.zeros(1, 3), logits)), 3)
        0.328
        >>> KL(4.0)(logits, logits)
        tensor(0.)
        >>> result = graphkd.distil(0.9 * KL(4.0), student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"

    def __init__(
        self,
        temperature: float = 1.0,
        *,
        reduction: Reduction = "batchmean",
        rescale: bool = True,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.temperature, self.rescale = temperature, rescale
        self.reduction = choose("reduction", reduction, Reduction)

    def digest(self, teacher: Tensor) -> Tensor | Softened:
        """Soften the teacher's logits once; return them unchanged where the result is above 64 MB."""
        return teacher if teacher.numel() > _KEPT else Softened.of(teacher, self.temperature)

    def forward(self, student: Tensor, teacher: Tensor | Softened) -> Tensor:
        return kl(student, teacher, self.temperature, reduction=self.reduction, rescale=self.rescale)


@method(
    "kd",
    family="response",
    paper="Hinton et al., 2015",
    arxiv="1503.02531",
    survey=(4, 48),
    tasks=("rows",),
    space={"label_weight": (0.003, 0.99)},
)
def kd_method(problem: Problem, *, temperature: float = 4.0, label_weight: float = 0.1) -> Loss:
    """Match the teacher's softened answers, beside the labels.

    Choose it first: it reads no hidden layer and is the baseline for other methods. ``label_weight`` and the weight of
    the soft targets sum to 1; the task decides the kind of soft targets.
    """
    return label_weight * problem.supervised() + (1 - label_weight) * problem.soft(temperature)
