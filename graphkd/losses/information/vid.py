"""Variational information distillation (VID): regression with learned variances."""

import math
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_same_shape
from graphkd.losses._projector import Linear


def vid(mean: Tensor, teacher: Tensor, variance: Tensor) -> Tensor:
    """Compute the teacher's negative log-likelihood under Gaussians, up to a constant: (N, d), (N, d), (d,) -> scalar.

    The mean over entries of (t - mean)^2 / (2 variance) + 1/2 log variance; ``mean`` is what the student predicts.

    Example::

        >>> mean, teacher, variance = torch.zeros(3, 1), torch.full((3, 1), 2.0), torch.tensor([4.0])
        >>> round(float(vid(mean, teacher, variance)), 3)  # 2^2 / (2 * 4) + 1/2 log 4
        1.193
    """
    check_same_shape(mean, teacher, "; VID(student_width, teacher_width) maps the student")
    m, t, v = (x.to(accumulation_dtype(x)) for x in (mean, teacher, variance))
    return 0.5 * ((m - t).square() / v + v.log()).sum() / max(t.numel(), 1)


class VID(Loss):
    """Predict the teacher's features with learned variances (VID). Ahn et al., CVPR 2019, arXiv:1904.05835.

    mean_ik (t_ik - mu(s)_ik)^2 / (2 v_k) + 1/2 log v_k, v_k = softplus(scale_k) + eps; up to a constant, its negative
    bounds the mutual information of student and teacher from below (Barber and Agakov). mu has three linear maps
    without bias, with ReLU between and ``hidden_width`` inside (by default d_t). mu and one variance per channel train
    with the student: give the optimiser the loss's parameters. student: (..., d_s), teacher: (..., d_t), features or
    logits. The authors' weight is 1, their initial variance 5.

    Example::

        >>> loss = VID(student_width=5, teacher_width=3, initial_variance=5.0)
        >>> round(loss(torch.zeros(4, 5), torch.zeros(4, 3)).item(), 3)  # without error 1/2 log 5 is left
        0.805
        >>> objective = graphkd.losses.CE(where="train_mask") + 300 * VID(12, 12)
        >>> result = graphkd.distil(objective, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self,
        student_width: int,
        teacher_width: int,
        hidden_width: int | None = None,
        *,
        initial_variance: float = 5.0,
        eps: float = 1e-5,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        middle = teacher_width if hidden_width is None else hidden_width
        start = math.log(math.expm1(check_positive("initial_variance - eps", initial_variance - eps)))
        self.eps = eps
        self.mean = nn.Sequential(
            Linear(student_width, middle, bias=False),
            nn.ReLU(),
            Linear(middle, middle, bias=False),
            nn.ReLU(),
            Linear(middle, teacher_width, bias=False),
        )
        self.scale = nn.Parameter(torch.full((teacher_width,), start))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return vid(self.mean(student), teacher, F.softplus(self.scale.to(accumulation_dtype(self.scale))) + self.eps)


@method(
    "vid",
    family="information",
    paper="Ahn et al., CVPR 2019",
    arxiv="1904.05835",
    survey=(66, 67),
    tasks=("rows",),
    needs=("hidden",),
)
def vid_method(problem: Problem, *, weight: float = 300.0, initial_variance: float = 5.0) -> Loss:
    """Predict the teacher's hidden rows with a learnt variance a channel, beside the labels.

    Choose it over a plain hint where some of the teacher's channels cannot be predicted: their variance grows. The
    published weight 1 is for convolutional features; on hidden rows of graph models it has no effect, so that we chose
    the weight on validation rows of Cora, from 1 to 300.
    """
    return problem.supervised() + weight * VID(*problem.widths, initial_variance=initial_variance)
