"""What a model answers: labels, soft targets, logits."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_labels, check_same_shape, choose

Reduction = Literal["batchmean", "elementmean"]


def cross_entropy(student: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy with integer labels, the mean over rows: (N, C), (N,) -> scalar."""
    check_labels(y, student.size(0), student.size(-1))
    return F.cross_entropy(student, y.long(), reduction="sum") / max(student.size(0), 1)


class CE(Loss):
    """Cross-entropy of the logits with the labels ``y``, mean over rows; ``where="train_mask"`` for labelled ones.

    student: (N, C), y: (N,) integers in [0, C), else ValueError.
    """

    rows: ClassVar[tuple[str, ...]] = ("y",)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        """See the class."""
        return cross_entropy(student, y)


def binary_cross_entropy(student: Tensor, y: Tensor) -> Tensor:
    """Binary cross-entropy of logits with targets in [0, 1], the mean over all entries: (N, C), (N, C) -> scalar."""
    if y.shape != student.shape:
        raise ValueError(f"'y' must have the shape of the logits, {tuple(student.shape)}, got {tuple(y.shape)}")
    return F.binary_cross_entropy_with_logits(student, y.to(student.dtype))


class BCE(Loss):
    """Binary cross-entropy of the logits with multi-label targets ``y``, mean over rows and labels.

    student, y: (N, C), targets in [0, 1].
    """

    rows: ClassVar[tuple[str, ...]] = ("y",)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        """See the class."""
        return binary_cross_entropy(student, y)


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
    choose("reduction", reduction, get_args(Reduction))
    if temperature <= 0:
        raise ValueError(f"'temperature' must be positive, got {temperature}")
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
    of ``torch.nn.KLDivLoss`` that efficient-gnns and others run: C times smaller. ``rescale=False`` drops T^2.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        *,
        reduction: Reduction = "batchmean",
        rescale: bool = True,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        choose("reduction", reduction, get_args(Reduction))
        self.temperature, self.reduction, self.rescale = temperature, reduction, rescale

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return kl(student, teacher, self.temperature, reduction=self.reduction, rescale=self.rescale)


def soft_bce(student: Tensor, teacher: Tensor) -> Tensor:
    """Binary cross-entropy with the teacher's sigmoid as target, the mean over all entries; see ``SoftBCE``."""
    check_same_shape(student, teacher)
    return binary_cross_entropy(student, teacher.sigmoid())


class SoftBCE(Loss):
    """Soft targets for multi-label nodes. Joshi et al., TNNLS 2022, arXiv:2111.04964.

    BCE(student, sigmoid(teacher)), the mean over rows and labels; student, teacher: (N, C) logits. The authors' code
    for PPI multiplies it by T^2 without softening anything: put such a factor into the weight.
    """

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return soft_bce(student, teacher)


def logit_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Half the squared distance of logits, the mean over rows: (N, C), (N, C) -> scalar; see ``LogitMSE``."""
    check_same_shape(student, teacher)
    return (student - teacher).square().sum() / max(2 * student.size(0), 1)


class LogitMSE(Loss):
    """Regress the teacher's logits, (1 / 2N) sum_i |s_i - t_i|^2. Ba and Caruana, NIPS 2014, arXiv:1312.6184.

    student, teacher: (N, C). The paper standardises the teacher's logits first; that is left to the caller.
    """

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return logit_mse(student, teacher)
