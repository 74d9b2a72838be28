"""Cross-entropy with soft targets, its classes weighted."""

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import check_positive, check_same_shape
from graphkd.losses.response._entropies import soft_entropies


def soft_cross_entropy(
    student: Tensor, teacher: Tensor, temperature: float = 1.0, *, class_weights: Tensor | None = None
) -> Tensor:
    """Average the cross-entropy of softened answers over rows: (N, C), (N, C), (C,) -> scalar; see ``SoftCE``."""
    check_same_shape(student, teacher)
    entropies = soft_entropies(student, teacher, temperature, class_weights)
    return entropies.sum() / max(entropies.numel(), 1)


class SoftCE(Loss):
    """Learn soft targets by cross-entropy with weighted classes. Chen et al., NeurIPS 2017.

    -mean_i sum_c w_c softmax(t_i / T)_c log softmax(s_i / T)_c, without T^2; student, teacher: (N, C), logits or
    log-probabilities. ``class_weights``: (C,), 1 by default; the paper gives the background class 1.5, which here is
    "no interaction". The gradient is 1 / T^2 times that of ``KL(T)``, so that at a high T weight decay in the gradient
    (Adam's) weighs more: shrink it alike, replace it by AdamW's, or multiply the loss by T^2, as our schemes do.
    Defensive distillation trains on this loss alone at a high T (20 to 100) and tests at T = 1 (Papernot et al., S&P
    2016, arXiv:1511.04508); it masks gradients and is a baseline, no protection. Without weights the loss is
    ``KL(T, rescale=False)`` plus the entropy of the teacher.

    Example::

        >>> logits = torch.zeros(1, 2)
        >>> round(float(SoftCE()(logits, logits)), 3)  # the entropy of the teacher, log 2
        0.693
        >>> round(float(SoftCE(class_weights=[1.5, 1.0])(logits, logits)), 3)  # 1.25 log 2
        0.866
        >>> result = graphkd.distil(4.0 * SoftCE(2.0), student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"
    class_weights: Tensor | None

    def __init__(
        self, temperature: float = 1.0, *, class_weights: Sequence[float] | Tensor | None = None, **reads: Unpack[Reads]
    ) -> None:
        super().__init__(**reads)
        self.temperature = check_positive("temperature", temperature)
        self.register_buffer("class_weights", None if class_weights is None else torch.as_tensor(class_weights))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return soft_cross_entropy(student, teacher, self.temperature, class_weights=self.class_weights)


@method("soft_ce", family="response", paper="Chen et al., NeurIPS 2017", survey=(45,), tasks=("classes",))
def soft_ce_method(problem: Problem, *, weight: float = 1.0, temperature: float = 1.0) -> Loss:
    """Learn the teacher's probabilities by cross-entropy, beside the labels.

    Choose its loss where classes should count differently: ``SoftCE(class_weights=...)``. Without them, as here, its
    gradient is that of ``kd`` without the factor T^2.
    """
    return problem.supervised() + weight * SoftCE(temperature)
