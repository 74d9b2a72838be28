"""Neuron selectivity transfer: on which nodes channels are active (NST)."""

from typing import Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.norms import unit_vectors
from graphkd.losses._checks import check_rows
from graphkd.losses.features._channels import channel_products


def neuron_selectivity(student: Tensor, teacher: Tensor, *, degree: int = 2, offset: float = 0.0) -> Tensor:
    """Squared maximum mean discrepancy of two sets of channels: (..., N, d_s), (..., N, d_t) -> scalar; see ``NST``."""
    check_rows(student, teacher)
    s, t = (unit_vectors(x, dim=-2) for x in (student, teacher))
    one, two, both = ((channel_products(a, b) + offset) ** degree for a, b in ((s, s), (t, t), (s, t)))
    discrepancy = one.mean(dim=(-1, -2)) + two.mean(dim=(-1, -2)) - 2 * both.mean(dim=(-1, -2))
    return discrepancy.sum() / max(discrepancy.numel(), 1)


class NST(Loss):
    """Match on which nodes channels are active (neuron selectivity). Huang and Wang, 2017, arXiv:1707.01219.

    Squared maximum mean discrepancy of the channels, unit vectors over the nodes of a graph, with the kernel
    (x . y + offset)^degree: mean_kl k(s_k, s_l) + mean_kl k(t_k, t_l) - 2 mean_kl k(s_k, t_l). student: (N, d_s),
    teacher: (N, d_t); widths may differ. Leading dimensions before N are graphs of equal size, over which it averages.
    RepDistiller's weight is 50. Products of channels are the entries of d x d Gram matrices: O(N d^2) time.

    Example::

        >>> x = torch.randn(48, 8)
        >>> round(abs(float(NST()(3 * x.flip(1), x))), 3)  # neither the order of channels nor their scale counts
        0.0
        >>> NST()(torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [1.0]]))  # active on different nodes: 1 + 1 - 0
        tensor(2.)
        >>> result = graphkd.distil(50 * NST(), student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(self, degree: int = 2, offset: float = 0.0, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.degree, self.offset = degree, offset

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return neuron_selectivity(student, teacher, degree=self.degree, offset=self.offset)


@method("nst", family="features", paper="Huang and Wang, 2017", arxiv="1707.01219", tasks=("rows",), needs=("hidden",))
def nst_method(problem: Problem, *, weight: float = 50.0, degree: int = 2) -> Loss:
    """Match on which rows channels are active, beside the labels.

    Choose it where hidden widths differ and it matters which rows are active together, not in which channel. The weight
    is that of RepDistiller.
    """
    return problem.supervised() + weight * NST(degree)
