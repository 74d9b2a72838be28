"""Attention transfer: how strongly each node is activated (AT)."""

from typing import Literal, Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.norms import absolute_powers, rescaled, unit_vectors
from graphkd.losses._checks import check_rows, choose


def attention_transfer(
    student: Tensor, teacher: Tensor, power: float = 2.0, *, form: Literal["code", "paper"] = "code"
) -> Tensor:
    """Difference of unit-norm attention over nodes: (..., N, d_s), (..., N, d_t) -> scalar; see ``AT``."""
    check_rows(student, teacher)
    choose("form", form, ("code", "paper"))
    s, t = (_attention(x, power) for x in (student, teacher))
    if form == "code":
        return (s - t).square().sum() / max(s.numel(), 1)
    distances = torch.linalg.vector_norm(s - t, dim=-1)
    return distances.sum() / max(distances.numel(), 1)


def _attention(x: Tensor, power: float) -> Tensor:
    """How strongly each node is activated, as unit vectors over nodes: (..., N, d) -> (..., N)."""
    return unit_vectors(absolute_powers(rescaled(x, (-2, -1)), power).sum(dim=-1))


class AT(Loss):
    """Attention transfer: match how strongly each node is activated. Zagoruyko and Komodakis, ICLR 2017.

    a_i = sum_k |x_ik|^p, a / |a|_2 over the nodes of a graph; mean_i (a^s_i - a^t_i)^2 as in the authors' ``form``, the
    "code"; the "paper" (arXiv:1612.03928, eq. 2) has |a^s - a^t|_2, the mean over graphs. student: (N, d_s), teacher:
    (N, d_t); widths may differ. Leading dimensions before N are graphs of equal size. The paper's weight is 1e3 / 2
    over the number of nodes, the code's 1e3. Gradient attention: show the gradients of the inputs as an entry.
    """

    on = "hidden"

    def __init__(self, power: float = 2.0, *, form: Literal["code", "paper"] = "code", **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.power, self.form = power, choose("form", form, ("code", "paper"))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return attention_transfer(student, teacher, self.power, form=self.form)


@method(
    "at",
    family="features",
    paper="Zagoruyko and Komodakis, ICLR 2017",
    arxiv="1612.03928",
    needs=("hidden",),
    space={"power": (0.5, 4.0)},
)
def at_method(problem: Problem, *, weight: float = 100.0, power: float = 2.0) -> Loss:
    """Match how strongly each row is activated, beside the labels.

    Choose it where hidden widths differ and no layer is to be trained between them: a row counts by one number. The
    weight is that of efficient-gnns for graphs, 1000 in the authors' code for images.
    """
    return problem.supervised() + weight * AT(power)
