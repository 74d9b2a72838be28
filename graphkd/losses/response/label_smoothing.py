"""Smoothed labels."""

from typing import Literal, Unpack

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import choose, class_ids_of

Spread = Literal["all", "others"]


def label_smoothing(student: Tensor, y: Tensor, alpha: float = 0.1, *, spread: Spread = "all") -> Tensor:
    """Cross-entropy with labels of which a share is spread: (N, C), (N,) -> scalar; see ``LabelSmoothing``."""
    choose("spread", spread, Spread)
    y = class_ids_of(student, y)
    logs = F.log_softmax(student.to(accumulation_dtype(student)), dim=-1)
    hit, classes = logs.gather(1, y[:, None])[:, 0], student.size(-1)
    misses = logs.mean(dim=1) if spread == "all" else (logs.sum(dim=1) - hit) / max(classes - 1, 1)
    return -((1 - alpha) * hit + alpha * misses).sum() / max(hit.numel(), 1)


class LabelSmoothing(Loss):
    """Learn smoothed labels by cross-entropy, without a teacher. Yuan et al., CVPR 2020, arXiv:1909.11723.

    -mean_i sum_c q_c log softmax(s_i)_c, q = (1 - alpha) onehot(y_i) + alpha / C; student: (N, C), y: (N,) integers in
    [0, C). ``spread="others"``, as in the authors' code: 1 - alpha on the label, alpha / (C - 1) on each other class.

    Example::

        >>> logits, y = torch.tensor([[40.0, 0.0, 0.0]]), torch.tensor([0])
        >>> round(float(LabelSmoothing(0.3)(logits, y=y)), 3)  # 0.1 on each other class: 0.2 * 40
        8.0
        >>> round(float(LabelSmoothing(0.3, spread="others")(logits, y=y)), 3)  # 0.15 on each: 0.3 * 40
        12.0
        >>> loss = LabelSmoothing(0.1, where="train_mask")
        >>> result = graphkd.distil(loss, student, None, data, epochs=2, progress=False)
    """

    answers = "classes"
    rows = ("y",)

    def __init__(self, alpha: float = 0.1, *, spread: Spread = "all", **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.alpha = alpha
        self.spread = choose("spread", spread, Spread)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        return label_smoothing(student, y, self.alpha, spread=self.spread)


@method(
    "label_smoothing",
    family="response",
    paper="Yuan et al., CVPR 2020",
    arxiv="1909.11723",
    survey=(76,),
    tasks=("classes",),
    teacher=False,
    space={"alpha": (0.003, 0.9)},
)
def label_smoothing_method(problem: Problem, *, alpha: float = 0.1) -> Loss:
    """Learn labels of which a share is spread over all classes, without a teacher.

    Choose it as the baseline that soft targets must beat: it regularises as they do, without a teacher's knowledge.
    ``alpha`` is the share that is spread.
    """
    return LabelSmoothing(alpha, where=problem.labelled)
