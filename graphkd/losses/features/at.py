"""Attention transfer: how strongly each node is activated (AT)."""

from typing import Literal, Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.norms import absolute_powers, rescaled, unit_vectors
from graphkd.losses._checks import check_rows, choose

AttentionReduction = Literal["mean", "graphs"]


def attention_transfer(
    student: Tensor,
    teacher: Tensor,
    power: float = 2.0,
    *,
    form: Literal["code", "paper"] = "code",
    reduction: AttentionReduction = "mean",
) -> Tensor:
    """Compare unit-norm attention over nodes: (..., N, d_s), (..., N, d_t) -> scalar; see ``AT``.

    Example::

        >>> x = torch.tensor([[1.0, 2.0], [3.0, 0.0], [1.0, 1.0]])
        >>> wide = torch.cat([x, x], dim=1)  # attention twice as large at each node: the same direction
        >>> round(float(attention_transfer(wide, 5 * x)), 3)
        0.0
    """
    check_rows(student, teacher)
    _check(form, reduction)
    s, t = (_attention(x, power) for x in (student, teacher))
    if form == "code":
        return (s - t).square().sum() / max(s.numel() // (1 if reduction == "mean" else max(s.size(-1), 1)), 1)
    distances = torch.linalg.vector_norm(s - t, dim=-1)
    return distances.sum() / max(distances.numel(), 1)


def _check(form: str, reduction: str) -> None:
    """Raise ValueError for names that there are not, and for a reduction of the code's form beside the paper's."""
    choose("form", form, ("code", "paper"))
    choose("reduction", reduction, AttentionReduction)
    if form == "paper" and reduction != "mean":
        raise ValueError(f'\'reduction\' is of form="code"; form="paper" is a mean over graphs, got {reduction!r}')


def _attention(x: Tensor, power: float) -> Tensor:
    """How strongly each node is activated, as unit vectors over nodes: (..., N, d) -> (..., N)."""
    return unit_vectors(absolute_powers(rescaled(x, (-2, -1)), power).sum(dim=-1))


class AT(Loss):
    """Match how strongly each node is activated (attention transfer). Zagoruyko and Komodakis, ICLR 2017.

    a_i = sum_k |x_ik|^p, scaled to a / |a|_2 over the nodes of a graph. ``form="code"``, as the authors' code:
    mean_i (a^s_i - a^t_i)^2; ``form="paper"`` (arXiv:1612.03928, eq. 2): |a^s - a^t|_2, the mean over graphs. Unit
    vectors of more nodes have smaller entries, so that the code's mean shrinks as 1 / N; ``reduction="graphs"`` sums
    over nodes instead, to a value in [0, 2], and averages over graphs. student: (N, d_s), teacher: (N, d_t); widths may
    differ. Leading dimensions before N are graphs of equal size. The paper's weight is 1e3 / 2 divided by the number of
    nodes, the code's 1e3. For gradient attention give the gradients of the inputs as the entry.

    Example::

        >>> s, t = torch.tensor([[3.0], [0.0]]), torch.tensor([[0.0, 0.0], [1.0, 2.0]])  # attention (1, 0) and (0, 1)
        >>> AT(reduction="graphs")(s, t)
        tensor(2.)
        >>> AT()(s, t)  # the mean over two nodes
        tensor(1.)
        >>> loss = graphkd.losses.CE(where="train_mask") + 0.1 * AT(reduction="graphs")
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self,
        power: float = 2.0,
        *,
        form: Literal["code", "paper"] = "code",
        reduction: AttentionReduction = "mean",
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        _check(form, reduction)
        self.power, self.form, self.reduction = power, form, reduction

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return attention_transfer(student, teacher, self.power, form=self.form, reduction=self.reduction)


@method(
    "at",
    family="features",
    paper="Zagoruyko and Komodakis, ICLR 2017",
    arxiv="1612.03928",
    survey=(56,),
    tasks=("rows",),
    needs=("hidden",),
    space={"power": (0.5, 4.0)},
)
def at_method(problem: Problem, *, weight: float = 0.1, power: float = 2.0) -> Loss:
    """Match how strongly each row is activated, beside the labels.

    Choose it where hidden widths differ and no layer should be trained between them: it compares one number per row.
    The loss is a sum over the nodes of a graph; we chose its weight on validation rows of Cora, from 0.03 to 50. The
    authors' weight of 1000 for the mean over an 8 x 8 image, or 16 for the sum, swamps the labels there.
    """
    return problem.supervised() + weight * AT(power, reduction="graphs")
