"""How the channels of hidden layers go together over the nodes of a graph: flow between two layers, selectivity."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, choose

Layers = tuple[Tensor, ...]
Reduction = Literal["mean", "sum"]


def _products(first: Tensor, second: Tensor) -> Tensor:
    """Inner products of all pairs of channels: (..., N, m), (..., N, n) -> (..., m, n), at full precision."""
    wide = accumulation_dtype(first)
    with torch.autocast(first.device.type, enabled=False):
        return first.to(wide).transpose(-1, -2) @ second.to(wide)


def flow(first: Tensor, second: Tensor) -> Tensor:
    """How two layers go together, (1/N) sum_i x_i y_i': (..., N, m), (..., N, n) -> (..., m, n)."""
    return _products(first, second) / max(first.size(-2), 1)


def fsp(student: Layers, teacher: Layers | Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Squared difference of two flows between two layers; see ``FSP``. ``teacher`` may be its ``flow``."""
    choose("reduction", reduction, ("mean", "sum"))
    if not isinstance(teacher, Tensor):
        for one, other in zip(student, teacher, strict=True):
            check_rows(one, other)
        teacher = flow(*teacher)
    ours = flow(*student)
    if ours.shape != teacher.shape:
        raise ValueError(
            f"'teacher' must have layers as wide as the student's, {_widths(ours)}, got {_widths(teacher)}"
        )
    count = ours.numel() if reduction == "mean" else ours[..., 0, 0].numel()
    return (ours - teacher).square().sum() / max(count, 1)


def _widths(matrix: Tensor) -> tuple[int, ...]:
    return tuple(matrix.shape[-2:])


class FSP(Loss):
    """Match the flow of solution procedure between two layers. Yim et al., CVPR 2017.

    G = (1/N) sum_i x_i y_i' of a layer x (N, m) and a later one y (N, n), mean_kl (G^s - G^t)^2 as in RepDistiller;
    ``reduction="sum"`` is the paper's |G^s - G^t|_F^2. ``on`` names the two layers; student and teacher must have equal
    widths at each. Leading dimensions before N are graphs of equal size, over which it averages: a batch of single
    nodes, (N, 1, m), gives outer products. Several pairs of layers are several losses. The paper trains on it first,
    on labels afterwards; RepDistiller's weight in that first stage is 50. O(N m n) time.
    """

    on = ("hidden_0", "hidden_1")

    def __init__(
        self, *, reduction: Reduction = "mean", on: tuple[str, str] | None = None, where: str | None = None
    ) -> None:
        super().__init__(on=on, where=where)
        self.reduction: Reduction = reduction
        choose("reduction", reduction, ("mean", "sum"))

    def forward(self, student: Layers, teacher: Layers | Tensor) -> Tensor:
        """See the class."""
        return fsp(student, teacher, reduction=self.reduction)


def neuron_selectivity(student: Tensor, teacher: Tensor, *, degree: int = 2, offset: float = 0.0) -> Tensor:
    """Squared maximum mean discrepancy of two sets of channels: (..., N, d_s), (..., N, d_t) -> scalar; see ``NST``."""
    check_rows(student, teacher)
    s, t = (F.normalize(x.to(accumulation_dtype(x)), dim=-2) for x in (student, teacher))
    one, two, both = ((_products(a, b) + offset) ** degree for a, b in ((s, s), (t, t), (s, t)))
    discrepancy = one.mean(dim=(-1, -2)) + two.mean(dim=(-1, -2)) - 2 * both.mean(dim=(-1, -2))
    return discrepancy.sum() / max(discrepancy.numel(), 1)


class NST(Loss):
    """Neuron selectivity transfer: match on which nodes channels are active. Huang and Wang, 2017, arXiv:1707.01219.

    Squared maximum mean discrepancy of the channels, unit vectors over the nodes of a graph, with the kernel
    (x . y + offset)^degree: mean_kl k(s_k, s_l) + mean_kl k(t_k, t_l) - 2 mean_kl k(s_k, t_l). student: (N, d_s),
    teacher: (N, d_t); widths may differ. Leading dimensions before N are graphs of equal size, over which it averages.
    RepDistiller's weight is 50. Products of channels are the entries of d x d Gram matrices: O(N d^2) time.
    """

    on = "hidden"

    def __init__(
        self, degree: int = 2, offset: float = 0.0, *, on: str | None = None, where: str | None = None
    ) -> None:
        super().__init__(on=on, where=where)
        self.degree, self.offset = degree, offset

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return neuron_selectivity(student, teacher, degree=self.degree, offset=self.offset)
