"""Soft targets: the teacher's softened class probabilities (KD)."""

from typing import Literal, Unpack

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_same_shape, choose

Reduction = Literal["batchmean", "elementmean"]


def kl(
    student: Tensor,
    teacher: Tensor,
    temperature: float = 1.0,
    *,
    reduction: Reduction = "batchmean",
    rescale: bool = True,
) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)): (N, C), (N, C) -> scalar; see ``KL``.

    Log-probabilities are as good as logits at T = 1.
    """
    check_same_shape(student, teacher)
    choose("reduction", reduction, Reduction)
    check_positive("temperature", temperature)
    # In float32 at least: log-probabilities rounded to half precision no longer sum to 1, and KL may turn negative.
    wide = (logits.to(accumulation_dtype(logits)) for logits in (teacher, student))
    p, q = (F.log_softmax(logits / temperature, dim=-1) for logits in wide)
    total = F.kl_div(q, p, reduction="sum", log_target=True)
    count = student.numel() // student.size(-1) if reduction == "batchmean" else student.numel()
    return total / max(count, 1) * (temperature**2 if rescale else 1.0)


class KL(Loss):
    """Soft targets: match the teacher's softened class probabilities. Hinton et al., 2015, arXiv:1503.02531.

    T^2 mean_i KL(softmax(t_i / T) || softmax(s_i / T)); student, teacher: (N, C).
    ``reduction="batchmean"`` sums over classes and averages over rows. ``"elementmean"`` divides by N C, the default
    of ``torch.nn.KLDivLoss`` that efficient-gnns and others run: C times smaller. ``rescale=False`` drops T^2: weight
    decay in the gradient (Adam's) must then shrink with 1 / T^2, or be AdamW's.
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

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return kl(student, teacher, self.temperature, reduction=self.reduction, rescale=self.rescale)


@method(
    "kd",
    family="response",
    paper="Hinton et al., 2015",
    arxiv="1503.02531",
    tasks=("node_classification", "graph_classification", "regression"),
    space={"label_weight": (0.003, 0.99)},
)
def kd_method(problem: Problem, *, temperature: float = 4.0, label_weight: float = 0.1) -> Loss:
    """Match the teacher's softened answers, beside the labels.

    Choose it first: it reads no hidden layer, and it is what other methods are to be compared with. The two weights sum
    to 1. Soft targets are those that fit the task.
    """
    return label_weight * problem.supervised() + (1 - label_weight) * problem.soft(temperature)
