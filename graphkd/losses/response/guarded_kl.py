"""Soft targets with the small numbers that authors add inside their logarithms."""

from typing import Literal, Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_same_shape, choose
from graphkd.losses.response.kd import kl

Guard = Literal["target", "ratio"]


def guarded_kl(
    student: Tensor, teacher: Tensor, temperature: float = 1.0, *, eps: float = 1e-7, guard: Guard = "target"
) -> Tensor:
    """Compute KL with a small number in its logarithm: (N, C), (N, C) -> scalar; see ``GuardedKL``."""
    check_same_shape(student, teacher)
    check_positive("temperature", temperature)
    choose("guard", guard, Guard)
    if eps == 0:
        return kl(student, teacher, temperature)
    s, t = (logits.to(accumulation_dtype(logits)) / temperature for logits in (student, teacher))
    if guard == "target":
        p = t.softmax(dim=-1) + eps
        terms = p * (p.log() - s.log_softmax(dim=-1))
    else:
        p = t.softmax(dim=-1)
        terms = p * (eps + p / (s.softmax(dim=-1) + eps)).log()
    return temperature**2 * terms.sum() / max(student.numel() // student.size(-1), 1)


class GuardedKL(Loss):
    """Match soft targets as authors' codes of online distillation do. Zhang et al., CVPR 2018, arXiv:1706.00384 (DML).

    T^2 mean_i sum_c p_c log(p_c / q_c), p and q the softened probabilities of teacher and student.
    ``guard="target"`` replaces p by p + eps, which no longer sums to 1 (ONE, FFL and OKDDip, eps = 1e-7);
    ``guard="ratio"`` takes log(eps + p_c / (q_c + eps)) as the logarithm (DML, eps = 1e-8). At eps = 0 it is ``KL``.
    Choose it only to reproduce those codes' numbers: ``KL`` needs no guard. student, teacher: (N, C); the gradient also
    reaches a teacher that requires it.

    Example::

        >>> logits = torch.zeros(1, 2)
        >>> GuardedKL(eps=0.0)(logits, logits)
        tensor(0.)
        >>> round(float(GuardedKL(eps=0.01)(logits, logits)), 3)  # 2 (0.51 log 1.02)
        0.02
        >>> result = graphkd.distil(GuardedKL(3.0), student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"

    def __init__(
        self, temperature: float = 1.0, *, eps: float = 1e-7, guard: Guard = "target", **reads: Unpack[Reads]
    ) -> None:
        super().__init__(**reads)
        self.temperature, self.eps = check_positive("temperature", temperature), eps
        if eps < 0:
            raise ValueError(f"'eps' must be at least 0, got {eps}")
        self.guard = choose("guard", guard, Guard)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return guarded_kl(student, teacher, self.temperature, eps=self.eps, guard=self.guard)


@method("guarded_kl", family="response", paper="Zhang et al., CVPR 2018", arxiv="1706.00384", tasks=("classes",))
def guarded_kl_method(
    problem: Problem, *, weight: float = 1.0, temperature: float = 1.0, eps: float = 1e-8, guard: Guard = "ratio"
) -> Loss:
    """Match soft targets with the small number that authors add in the logarithm, beside the labels.

    Choose it only to reproduce the numbers of an authors' code, else ``kd``. The defaults are those of DML; ONE, FFL
    and OKDDip use ``temperature`` 3, ``eps`` 1e-7 and ``guard`` "target".
    """
    return problem.supervised() + weight * GuardedKL(temperature, eps=eps, guard=guard)
