"""How far class probabilities are from soft labels, measured as the codes of CPF and others do."""

from dataclasses import dataclass
from typing import Literal, Self, Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape, choose

Distance = Literal["norm", "norms", "bce", "kl"]


@dataclass(frozen=True)
class SoftLabels:
    """Hold a teacher's class probabilities (N, C).

    Example::

        >>> labels = SoftLabels.of(torch.tensor([[2.0, 0.0]]), decimals=1)
        >>> labels.probability
        tensor([[0.9000, 0.1000]])
    """

    probability: Tensor

    @classmethod
    def of(cls, teacher: Tensor, decimals: int | None = None) -> Self:
        """Take the softmax of logits (N, C), rounded to ``decimals`` decimals if given."""
        # Computed as the student's: equal logits must differ by exactly 0, where torch gives a norm the gradient 0.
        probability = teacher.to(accumulation_dtype(teacher)).log_softmax(dim=-1).exp()
        return cls(probability if decimals is None else probability.round(decimals=decimals))


def soft_label_distance(
    student: Tensor, teacher: Tensor | SoftLabels, distance: Distance = "norm", *, decimals: int | None = None
) -> Tensor:
    """Distance of softmax(student) from soft labels: (N, C), (N, C) logits -> scalar; see ``SoftLabelDistance``."""
    choose("distance", distance, Distance)
    q = (SoftLabels.of(teacher, decimals) if isinstance(teacher, Tensor) else teacher).probability
    check_same_shape(student, q)
    log_p = student.to(accumulation_dtype(student)).log_softmax(dim=-1)
    p = log_p.exp()
    if distance == "norm":
        return torch.linalg.vector_norm(p - q)
    if distance == "norms":
        return torch.linalg.vector_norm(p - q, dim=-1).sum()
    if distance == "kl":
        total = (torch.xlogy(q, q) - q * log_p).sum()
    else:
        total = -(q * log_p + (1 - q) * _log_others(log_p)).sum()
    return total / max(q.numel(), 1)


def _log_others(log_p: Tensor) -> Tensor:
    """log(1 - p) of log-probabilities, class by class: (N, C) -> (N, C).

    The likeliest class takes the others' log-sum-exp, because 1 - p is rounding where p is near 1; no other class has
    more than 1/2.
    """
    if log_p.size(-1) == 1:
        return torch.zeros_like(log_p)  # there are no others
    top = log_p.detach().argmax(dim=-1, keepdim=True)
    rest = log_p.scatter(-1, top, -torch.inf).logsumexp(dim=-1, keepdim=True)
    return torch.log1p(-log_p.exp().scatter(-1, top, 0)).scatter(-1, top, rest)


class SoftLabelDistance(Loss):
    """Match a teacher's probabilities by a distance. Yang et al. (CPF), The Web Conference 2021, arXiv:2103.02885.

    With p = softmax(s) and q = softmax(t), student, teacher: (N, C) logits, or log-probabilities:
    "norm" is sqrt(sum_i |p_i - q_i|^2) over all rows, as the authors' code uses; "norms" is sum_i |p_i - q_i|, the
    paper's formula. Their code has two more, means over all N C entries: "bce", the binary cross-entropy with q as
    target, and "kl", KL(q || p). ``decimals`` rounds q; their code stores q in a file with 4 decimals.
    The gradient of a norm of 0 is 0. CPF compares unlabelled nodes: ``where="~train_mask"``.

    Example::

        >>> s, t = torch.zeros(2, 2), torch.tensor([[20.0, -20.0], [20.0, -20.0]])
        >>> round(float(SoftLabelDistance("norm")(s, t)), 3)  # of (1/2, 1/2) from (1, 0), twice
        1.0
        >>> round(float(SoftLabelDistance("norms")(s, t)), 3)  # 2 sqrt(1/2)
        1.414
        >>> loss = graphkd.losses.CE(where="train_mask") + SoftLabelDistance(where="~train_mask")
        >>> result = graphkd.distil(loss, student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"

    def __init__(self, distance: Distance = "norm", *, decimals: int | None = None, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.distance = choose("distance", distance, Distance)
        self.decimals = decimals

    def digest(self, teacher: Tensor) -> SoftLabels:
        """Compute the teacher's probabilities once."""
        return SoftLabels.of(teacher, self.decimals)

    def forward(self, student: Tensor, teacher: Tensor | SoftLabels) -> Tensor:
        return soft_label_distance(student, teacher, self.distance, decimals=self.decimals)


@method(
    "soft_label_distance",
    family="response",
    paper="Yang et al., The Web Conference 2021",
    arxiv="2103.02885",
    tasks=("classes",),
)
def soft_label_distance_method(problem: Problem, *, weight: float = 1.0, distance: Distance = "norm") -> Loss:
    """Shorten the distance to the teacher's probabilities on unlabelled rows, beside the labels.

    Choose it to reproduce numbers of CPF; ``distance`` is one of "norm" (the authors' code), "norms" (their paper),
    "bce" and "kl". The first two grow with the number of rows: adapt ``weight`` to it.
    """
    return problem.supervised() + weight * SoftLabelDistance(distance, where=f"~{problem.labelled}")
