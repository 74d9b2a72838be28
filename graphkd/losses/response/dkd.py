"""Soft targets in two parts, the label's class and the others (DKD)."""

from typing import Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive
from graphkd.losses.response._decoupled import decoupled_labels, other_logits
from graphkd.losses.response.kd import kl
from graphkd.losses.response.nckd import nckd


def _label_or_not(logits: Tensor, y: Tensor, temperature: float) -> Tensor:
    """Logits of the label's class and of all the others together: (N, C), (N,) -> (N, 2)."""
    softened = logits.to(accumulation_dtype(logits)) / temperature
    return torch.cat([softened.gather(1, y[:, None]), other_logits(softened, y).logsumexp(dim=1, keepdim=True)], dim=1)


def tckd(student: Tensor, teacher: Tensor, y: Tensor, temperature: float = 4.0) -> Tensor:
    """T^2 KL of the label's class against all others together: (N, C), (N, C), (N,) -> scalar; see ``DKD``.

    Example::

        >>> t = torch.tensor([[2.0, 1.0, 0.0]])
        >>> s = torch.tensor([[2.0, 0.0, 1.0]])  # the probability of class 0 is the same
        >>> y = torch.tensor([0])
        >>> round(float(tckd(s, t, y)), 3), float(nckd(s, t, y)) > 0
        (0.0, True)
    """
    y = decoupled_labels(student, teacher, y)
    check_positive("temperature", temperature)
    return temperature**2 * kl(_label_or_not(student, y, temperature), _label_or_not(teacher, y, temperature))


def dkd(
    student: Tensor, teacher: Tensor, y: Tensor, temperature: float = 4.0, *, alpha: float = 1.0, beta: float = 8.0
) -> Tensor:
    """``alpha`` times ``tckd`` plus ``beta`` times ``nckd``: (N, C), (N, C), (N,) -> scalar; see ``DKD``.

    Example::

        >>> s, t, y = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])
        >>> other = 1 - float(t.softmax(dim=1)[0, 0])
        >>> parts = dkd(s, t, y, temperature=1.0, alpha=1.0, beta=other)
        >>> bool(torch.isclose(parts, kl(s, t)))  # with this beta it is KL
        True
    """
    return alpha * tckd(student, teacher, y, temperature) + beta * nckd(student, teacher, y, temperature)


class DKD(Loss):
    """Match the label's class and the others apart (decoupled distillation). Zhao et al., CVPR 2022, arXiv:2203.08679.

    T^2 mean_i (alpha KL(b(t_i) || b(s_i)) + beta KL(q(t_i) || q(s_i))), b = (p_y, 1 - p_y) of p = softmax(. / T), q the
    softmax over the C - 1 classes other than y_i. With alpha = 1 and beta = 1 - p_y of the teacher it is ``KL(T)``.
    student, teacher: (N, C), y: (N,); in a list of items y is the positive item. The authors add it to CE with weight
    1 and beta from 2 to 8 at T = 4, 0.5 at T = 1. Its weight rises linearly over ``warm_up`` epochs (theirs: 20);
    ``fit`` calls ``set_epoch``. Their code subtracts 1000 from the label's logit and takes log p unclamped; here
    1 - p_y is a log-sum-exp.

    Example::

        >>> t, s = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[2.0, 0.0, 1.0]])
        >>> round(float(DKD(1.0, beta=0.0)(s, t, y=torch.tensor([0]))), 3)  # label's class: the same
        0.0
        >>> round(float(DKD(1.0, beta=1.0)(s, t, y=torch.tensor([0]))), 3)  # the others: tanh(1/2)
        0.462
        >>> loss = graphkd.losses.CE(where="train_mask") + DKD(where="train_mask", warm_up=20)
        >>> result = graphkd.distil(loss, student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"
    rows = ("y",)
    warmth: Tensor

    def __init__(
        self,
        temperature: float = 4.0,
        *,
        alpha: float = 1.0,
        beta: float = 8.0,
        warm_up: int = 0,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.temperature = check_positive("temperature", temperature)
        self.alpha, self.beta, self.warm_up = alpha, beta, warm_up
        self.register_buffer("warmth", torch.tensor(1.0))

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the warm-up does not depend on the end
        """Scale the loss by (epoch + 1) / warm_up, at most 1."""
        self.warmth.fill_(min((epoch + 1) / max(self.warm_up, 1), 1.0))

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor) -> Tensor:
        return self.warmth * dkd(student, teacher, y, self.temperature, alpha=self.alpha, beta=self.beta)


@method("dkd", family="response", paper="Zhao et al., CVPR 2022", arxiv="2203.08679", survey=(36,), tasks=("classes",))
def dkd_method(
    problem: Problem,
    *,
    weight: float = 1.0,
    temperature: float = 4.0,
    alpha: float = 1.0,
    beta: float = 8.0,
    warm_up: int = 20,
) -> Loss:
    """Match the label's class and the others apart, on labelled rows, beside the labels.

    Choose it where the teacher is so sure of the labels that plain soft targets say little about the other classes. The
    published ``beta`` is for images, from 2 to 8 at temperature 4; ``warm_up`` is in epochs.
    """
    loss = DKD(temperature, alpha=alpha, beta=beta, warm_up=warm_up, where=problem.labelled)
    return problem.supervised() + weight * loss
