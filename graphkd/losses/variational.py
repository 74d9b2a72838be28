"""Variational bounds on mutual information: regression with learned variances (VID), bottlenecks (VSD, VCD, VML)."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_positive, check_same_shape, choose
from graphkd.losses.response import kl

Form = Literal["paper", "code"]


def vid(mean: Tensor, teacher: Tensor, variance: Tensor) -> Tensor:
    """Negative log-likelihood of the teacher under Gaussians, less its constant: (N, d), (N, d), (d,) -> scalar.

    The mean over entries of (t - mean)^2 / (2 variance) + 1/2 log variance; ``mean`` is what the student predicts.
    """
    check_same_shape(mean, teacher, "; VID(student_width, teacher_width) maps the student")
    return 0.5 * ((mean - teacher).square() / variance + variance.log()).sum() / max(teacher.numel(), 1)


class VID(Loss):
    """Variational information distillation. Ahn et al., CVPR 2019, arXiv:1904.05835.

    mean_ik (t_ik - mu(s)_ik)^2 / (2 v_k) + 1/2 log v_k, v_k = softplus(scale_k) + eps, which bounds the mutual
    information of student and teacher from below (Barber and Agakov) up to a constant. mu, three linear maps without
    bias and ReLU between (``hidden_width``: the teacher's), and one variance per channel train with the student:
    hand both to the optimiser. student: (..., d_s), teacher: (..., d_t), also logits. The authors' weight is 1, the
    initial variance 5.
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
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        middle = teacher_width if hidden_width is None else hidden_width
        start = math.log(math.expm1(check_positive("initial_variance - eps", initial_variance - eps)))
        self.eps = eps
        self.mean = nn.Sequential(
            nn.Linear(student_width, middle, bias=False),
            nn.ReLU(),
            nn.Linear(middle, middle, bias=False),
            nn.ReLU(),
            nn.Linear(middle, teacher_width, bias=False),
        )
        self.scale = nn.Parameter(torch.full((teacher_width,), start))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return vid(self.mean(student), teacher, F.softplus(self.scale) + self.eps)


def vsd(student: Tensor, teacher: Tensor, temperature: float = 1.0, *, form: Form = "paper") -> Tensor:
    """KL of the observation's prediction from the code's: (N, C), (N, C) logits -> scalar; see ``VSD``."""
    choose("form", form, ("paper", "code"))
    if form == "paper":
        return kl(student, teacher.detach(), temperature, rescale=False)
    check_same_shape(student, teacher)
    code, observed = ((logits / temperature).softmax(dim=-1) for logits in (student, teacher.detach()))
    return (code * (code.log() - observed)).sum() / max(code.numel(), 1)


class VSD(Loss):
    """Variational self-distillation: a bottleneck's code keeps what the label needs. Tian et al., CVPR 2021 (VSD).

    mean_i KL(softmax(v_i / T) || softmax(z_i / T)); student: (N, C), z, the logits predicted from the code, teacher:
    (N, C), v, those predicted from the observation that the code compresses, a branch of the same network, constant
    here. ``form="code"`` is what the authors' code computes, for comparison alone: mean_ik p_z (log p_z - p_v).
    Both branches learn the labels beside it.
    """

    def __init__(
        self, temperature: float = 1.0, *, form: Form = "paper", on: str | None = None, where: str | None = None
    ) -> None:
        super().__init__(on=on, where=where)
        self.temperature = check_positive("temperature", temperature)
        self.form: Form = form
        choose("form", form, ("paper", "code"))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return vsd(student, teacher, self.temperature, form=self.form)


def vcd(student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], temperature: float = 1.0) -> Tensor:
    """``vsd`` of each view's code with the other view's observation, summed; see ``VCD``."""
    return vsd(student[0], teacher[1], temperature) + vsd(student[1], teacher[0], temperature)


class VCD(Loss):
    """Variational cross-distillation: codes of two views keep what the views share. Tian et al., CVPR 2021 (VCD).

    mean_i KL(softmax(v2_i / T) || softmax(z1_i / T)) + mean_i KL(softmax(v1_i / T) || softmax(z2_i / T)); ``on`` names
    the logits of the two views, (N, C) each: the student's are predicted from the codes z, the teacher's from the
    observations v, constant here.
    """

    on = ("first", "second")

    def __init__(
        self, temperature: float = 1.0, *, on: tuple[str, str] | None = None, where: str | None = None
    ) -> None:
        super().__init__(on=on, where=where)
        self.temperature = check_positive("temperature", temperature)

    def forward(self, student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor]) -> Tensor:
        """See the class."""
        return vcd(student, teacher, self.temperature)


def vml(student: Tensor, teacher: Tensor) -> Tensor:
    """Jensen-Shannon divergence of two predictions, nats: (N, C), (N, C) logits -> scalar; see ``VML``."""
    check_same_shape(student, teacher)
    p, q = (F.log_softmax(logits, dim=-1) for logits in (student, teacher))
    middle = torch.logaddexp(p, q) - math.log(2)
    both = [F.kl_div(middle, x, reduction="sum", log_target=True) for x in (p, q)]
    return (both[0] + both[1]) / max(2 * (p.numel() // p.size(-1)), 1)


class VML(Loss):
    """Variational mutual learning: predictions from the codes of two views agree. Tian et al., CVPR 2021 (VML).

    mean_i JS(softmax(s_i), softmax(t_i)) = 1/2 KL(p || m) + 1/2 KL(q || m), m = (p + q) / 2, nats (eq. 21 of Hu et al.,
    arXiv:2304.14800); student, teacher: (N, C) logits. Both sides get a gradient where the teacher has one. The
    authors' code has a Sinkhorn distance here.
    """

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return vml(student, teacher)
