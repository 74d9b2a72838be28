"""Variational mutual learning (VML): predictions from the codes of two views agree."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape


def vml(student: Tensor, teacher: Tensor) -> Tensor:
    """Compute the Jensen-Shannon divergence of two predictions, nats: (N, C), (N, C) logits -> scalar; see ``VML``.

    Example::

        >>> logits = torch.tensor([[1.0986, 0.0]])  # (3/4, 1/4) against (1/4, 3/4), with (1/2, 1/2) in the middle
        >>> round(float(vml(logits, logits.flip(1))), 3)
        0.131
    """
    check_same_shape(student, teacher)
    p, q = (F.log_softmax(logits.to(accumulation_dtype(logits)), dim=-1) for logits in (student, teacher))
    middle = torch.logaddexp(p, q) - math.log(2)
    both = [F.kl_div(middle, x, reduction="sum", log_target=True) for x in (p, q)]
    return (both[0] + both[1]) / max(2 * (p.numel() // p.size(-1)), 1)


class VML(Loss):
    """Make predictions from the codes of two views agree: mutual learning. Tian et al., CVPR 2021 (VML).

    mean_i JS(softmax(s_i), softmax(t_i)) = 1/2 KL(p || m) + 1/2 KL(q || m), m = (p + q) / 2, nats (eq. 21 of Hu et al.,
    arXiv:2304.14800); student, teacher: (N, C) logits. The gradient also reaches a teacher that requires it. The
    authors' code has a Sinkhorn distance here.

    Example::

        >>> sure = torch.tensor([[50.0, 0.0]])
        >>> [round(float(VML()(sure, other)), 3) for other in (sure, sure.flip(1))]  # at most log 2
        [0.0, 0.693]
        >>> loss = graphkd.losses.CE(where="train_mask") + VML()
        >>> result = graphkd.distil(loss, student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return vml(student, teacher)


@method(
    "vml", family="information", paper="Tian et al., CVPR 2021", arxiv="2104.02862", survey=(68,), tasks=("classes",)
)
def vml_method(problem: Problem, *, weight: float = 1.0) -> Loss:
    """Match classes in Jensen-Shannon divergence, beside the labels.

    Choose it over soft targets where the teacher is overconfident in places: the divergence is at most log 2 a node.
    """
    return problem.supervised() + weight * VML()
