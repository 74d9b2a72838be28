"""The instance relationship graph (IRG): changes of its vertices and its edges between layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, Unpack

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import squared_distance_divergence
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_matrix, check_rows, choose
from graphkd.losses._layers import Layer, layer_taps
from graphkd.losses.relations._instances import Layers, Reduction, Scale, edge_scale, scale_free

EdgeReduction = Literal["mean", "sum"]


@dataclass(frozen=True)
class Change:
    """How far every node moved between two layers, squared and scaled: (N,)."""

    lengths: Tensor

    @classmethod
    def of(cls, layers: Layers, scale: Scale = "max", constant: bool = True) -> Self:
        """Measure moves between two layers, (N, ..., d); average channel pairs where the second is twice as wide."""
        first, second = (x.to(accumulation_dtype(x)) for x in layers)
        if second.size(-1) == 2 * first.size(-1):
            second = second.unflatten(-1, (-1, 2)).mean(dim=-1)
        if first.shape != second.shape:
            raise ValueError(
                f"'on' must name layers of one width, or the second twice as wide, got {first.size(-1)} and "
                f"{second.size(-1)}, shapes {tuple(first.shape)} and {tuple(second.shape)}"
            )
        check_matrix("student", first)
        squared = (first - second).square().flatten(1).sum(dim=1)
        if scale == "none" or squared.size(0) == 0:
            return cls(squared)
        found = squared.max() if scale == "max" else squared.mean()
        return cls(squared / torch.where(found > 0, found.detach() if constant else found, 1))


def irg_transform(
    student: Layers,
    teacher: Layers | Change,
    *,
    scale: Scale = "max",
    constant: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """Compute the squared difference of how far nodes move between two layers; see ``IRGTransform``.

    Example::

        >>> before, after = torch.zeros(2, 1), torch.tensor([[1.0], [2.0]])
        >>> float(irg_transform((before, after), (before, after.repeat(1, 2))))  # twice as wide: channels are averaged
        0.0
    """
    choose("scale", scale, Scale)
    choose("reduction", reduction, Reduction)
    ours = Change.of(student, scale, constant)
    theirs = teacher if isinstance(teacher, Change) else Change.of(teacher, scale)
    check_rows(ours.lengths[:, None], theirs.lengths[:, None])
    total = (ours.lengths - theirs.lengths).square().sum()
    return total / {"mean": max(ours.lengths.size(0), 1), "rows": 2, "sum": 1}[reduction]


class IRGTransform(Loss):
    """Match how far nodes move between two layers: IRG's transformation. Liu et al., CVPR 2019.

    (1/N) sum_i (v^s_i - v^t_i)^2 with v_i = |y_i - x_i|^2 / max_j |y_j - x_j|^2 of a layer x and a later one y of the
    same width (or twice it: adjacent channels of y are averaged); ``on`` names the two. ``scale``: divide by the "max",
    the "mean" or "none"; ``constant`` gives the student's scale no gradient, like the authors' layer. ``reduction``:
    the "mean" over nodes; "rows", the authors' 1 / 2 times the sum; "sum". Their weight is 0.005. O(N d).

    Example::

        >>> before, after = torch.zeros(2, 1), torch.tensor([[1.0], [2.0]])  # scaled, nodes move by 1/4 and 1
        >>> float(IRGTransform()((before, after), (before, torch.ones(2, 1))))  # the teacher's by 1: (3 / 4)^2 / 2
        0.28125
        >>> settings = {"layers": ("convs.0", "convs.1:in"), "epochs": 2, "progress": False}
        >>> result = graphkd.distil("irg_transform", student, teacher, data, **settings)
    """

    on = ("hidden_0", "hidden_1")

    def __init__(
        self, scale: Scale = "max", *, constant: bool = True, reduction: Reduction = "mean", **reads: Unpack[Reads]
    ) -> None:
        super().__init__(**reads)
        self.scale, self.constant = choose("scale", scale, Scale), constant
        self.reduction = choose("reduction", reduction, Reduction)

    def digest(self, teacher: Layers) -> Change:
        """Compute how far the teacher's nodes move, once."""
        return Change.of(teacher, self.scale)

    def forward(self, student: Layers, teacher: Layers | Change) -> Tensor:
        return irg_transform(student, teacher, scale=self.scale, constant=self.constant, reduction=self.reduction)


def edge_change(
    layers: Layers, scale: Scale = "max", constant: bool = True, reduction: EdgeReduction = "mean"
) -> Tensor:
    """Compute how far edges move between two layers, |A_2 - A_1|_F^2 of scaled squared distances: scalar."""
    check_rows(*layers)
    first, second = (scale_free(x, scale) for x in layers)
    ours, theirs = (edge_scale(x.detach() if constant else x, scale) for x in (first, second))
    total = squared_distance_divergence(first, second, ours, theirs)
    return (total / (max(first.size(0), 1) ** 2 if reduction == "mean" else 1)).to(ours.dtype)


def irg_edge_transform(
    student: Layers,
    teacher: Layers | Tensor,
    *,
    scale: Scale = "max",
    constant: bool = True,
    reduction: EdgeReduction = "mean",
) -> Tensor:
    """Compute the squared difference of how far all edges move between two layers; see ``IRGEdgeTransform``.

    Example::

        >>> line, corners = torch.tensor([[0.0], [1.0], [2.0]]), torch.eye(3)  # scaled edges 1/4, 1/4, 1 and 1, 1, 1
        >>> moved, still = (line, corners), (line, line)
        >>> round(float(irg_edge_transform(moved, still, reduction="sum")), 2)  # (4 * (3 / 4)^2)^2
        5.06
    """
    choose("scale", scale, Scale)
    choose("reduction", reduction, EdgeReduction)
    if not isinstance(teacher, Tensor):
        check_rows(student[0], teacher[0])
        teacher = edge_change(teacher, scale, reduction=reduction)
    elif teacher.dim():
        raise ValueError(f"'teacher' must be two layers or their edge_change, a scalar, got {tuple(teacher.shape)}")
    return (edge_change(student, scale, constant, reduction) - teacher).square()


class IRGEdgeTransform(Loss):
    """Match how far edges move between two layers: IRG's transformation. Liu et al., CVPR 2019.

    (|A^s_2 - A^s_1|_F^2 - |A^t_2 - A^t_1|_F^2)^2, A the squared distances of all pairs in a layer over their ``scale``
    (see ``IRG``), of two layers of any widths; ``on`` names them. ``reduction``: each |.|_F^2 is the "mean" over pairs
    or the "sum". The authors' code has no such part: the form is our reading of the paper, where ``scale`` is "none"
    (``IRG.paper``). O(N d^2) time, plus the search for the largest distances as in ``IRG``.

    Example::

        >>> line, corners = torch.tensor([[0.0], [1.0], [2.0]]), torch.eye(3)  # scaled edges 1/4, 1/4, 1 and 1, 1, 1
        >>> abs(round(float(IRGEdgeTransform()((line, corners), (5 * line, 3 * corners))), 3))
        0.0
        >>> round(float(IRGEdgeTransform()((line, corners), (line, line))), 4)  # (4 * (3 / 4)^2 / 9)^2
        0.0625
    """

    on = ("hidden_0", "hidden_1")

    def __init__(
        self, scale: Scale = "max", *, constant: bool = True, reduction: EdgeReduction = "mean", **reads: Unpack[Reads]
    ) -> None:
        super().__init__(**reads)
        self.scale, self.constant = choose("scale", scale, Scale), constant
        self.reduction: EdgeReduction = choose("reduction", reduction, EdgeReduction)

    def digest(self, teacher: Layers) -> Tensor:
        """Compute how far the teacher's edges move, once."""
        return edge_change(teacher, self.scale, reduction=self.reduction)

    def forward(self, student: Layers, teacher: Layers | Tensor) -> Tensor:
        return irg_edge_transform(student, teacher, scale=self.scale, constant=self.constant, reduction=self.reduction)


@method("irg_transform", family="relations", paper="Liu et al., CVPR 2019", survey=(63,), needs=("layers",))
def irg_transform_method(
    problem: Problem, *, layers: Sequence[Layer], vertices: float = 0.16, edges: float = 0.16
) -> nn.Module:
    """Match how far nodes, and the distances between them, move from one layer to a later one, beside the labels.

    Choose it where the student should learn the steps between layers, not their results. ``layers``: the earlier and
    the later layer, of one width or the later twice as wide, each a path for both models or a (student, teacher) pair
    of paths: ``layers=("convs.0", "convs.1")``. Both parts are means, over nodes and over pairs. ``vertices`` equals
    the authors' 0.005 for 1 / 2 times the sum over a batch of 64, 0.005 * 64 / 2; we set ``edges`` to the same.
    """
    taps = layer_taps("irg_transform", layers)
    moves = vertices * IRGTransform() + edges * IRGEdgeTransform()
    losses = problem.supervised() + moves
    return problem.train(problem.distiller(problem.student, problem.teacher, losses, taps=taps))
