"""The graph of instances: nodes as its vertices, squared distances as its edges, and how both change between layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Sum
from graphkd.kernels import farthest_rows, squared_distance_divergence
from graphkd.kernels.operators import accumulation_dtype
from graphkd.kernels.pairs import squared_distances
from graphkd.losses._checks import check_rows, choose
from graphkd.losses.distances import Scaled
from graphkd.losses.hidden import FitNet

Scale = Literal["max", "mean", "none"]
Reduction = Literal["mean", "rows", "sum"]
Layers = tuple[Tensor, ...]


def edge_scale(x: Tensor, scale: Scale = "max") -> Tensor:
    """The largest squared distance of two rows, or the mean over all N^2 pairs, or 1: (N, d) -> scalar; 1 for 0."""
    x = x.to(accumulation_dtype(x))
    if scale == "none" or x.size(0) == 0:
        return x.new_ones(())
    if scale == "max":
        found = x[farthest_rows(x)].diff(dim=0).square().sum()
    else:
        found = 2 * (x - x.mean(dim=0)).square().sum() / x.size(0)
    return torch.where(found > 0, found, 1)


def edge_map(x: Tensor, scale: Scale = "max") -> Tensor:
    """The edges of a graph of instances, |x_i - x_j|^2 / scale: (N, d) -> (N, N). To look at: ``IRG`` builds none."""
    choose("scale", scale, get_args(Scale))
    centred = x.to(accumulation_dtype(x))
    centred = centred - centred.mean(dim=0)  # distances do not change, cancellation shrinks
    return squared_distances(centred, centred.square().sum(dim=1), slice(None)) / edge_scale(x, scale)


def irg(
    student: Tensor,
    teacher: Tensor | Scaled,
    *,
    scale: Scale = "max",
    constant: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """Squared difference of two matrices of scaled squared distances: (N, d_s), (N, d_t) -> scalar; see ``IRG``."""
    choose("scale", scale, get_args(Scale))
    choose("reduction", reduction, get_args(Reduction))
    features = teacher if isinstance(teacher, Tensor) else teacher.features
    check_rows(student, features)
    theirs = edge_scale(teacher, scale) if isinstance(teacher, Tensor) else teacher.scale
    ours = edge_scale(student.detach() if constant else student, scale)
    s, t = (x.to(accumulation_dtype(x)) for x in (student, features))
    total = squared_distance_divergence(s, t, ours, theirs)
    rows = max(student.size(0), 1)
    return (total / {"mean": rows**2, "rows": 2 * rows, "sum": 1}[reduction]).to(ours.dtype)


class IRG(Loss):
    """Instance relationship graph, its edges: match squared distances of all pairs. Liu et al., CVPR 2019.

    (1/N^2) |D^s / max D^s - D^t / max D^t|_F^2, D_ij = |x_i - x_j|^2; student: (N, d_s), teacher: (N, d_t). ``scale``:
    "max", "mean" (over all pairs; ours, without their O(N^2 d)) or "none". ``constant`` holds the student's scale
    constant as the authors' layer does; its gradient is half of ours, as it drops the columns. ``reduction``: the
    "mean" over pairs; "rows", their 1 / 2N; "sum". Their weight is 0.005. The vertices are ``FitNet(on="logits")``, how
    they change ``IRGTransform``, how edges change ``IRGEdgeTransform``; ``IRG.multi_type`` and ``IRG.paper`` are sums.
    O(N d^2) time by Gram matrices; the largest distance streams all pairs, less those too short by their norms.
    """

    on = "hidden"

    def __init__(
        self,
        scale: Scale = "max",
        *,
        constant: bool = True,
        reduction: Reduction = "mean",
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.scale: Scale = scale
        self.reduction: Reduction = reduction
        self.constant = constant
        choose("scale", scale, get_args(Scale))
        choose("reduction", reduction, get_args(Reduction))

    @classmethod
    def multi_type(
        cls,
        layers: Sequence[str],
        changes: Sequence[tuple[str, str]],
        *,
        vertex: float = 0.1,
        edge: float = 5.0,
        transform: float = 5.0,
        constant: bool = False,
        logits: str = "logits",
        where: str | None = None,
    ) -> Sum:
        """Vertices of the logits, edges of ``layers`` (their mean), and ``changes`` between pairs of layers (the mean).

        The defaults, weights and a gradient through the scales included, are those of Knowledge-Distillation-Zoo.
        """
        edges = [(edge / len(layers), cls(constant=constant, on=layer, where=where)) for layer in layers]
        moves = [(transform / len(changes), IRGTransform(constant=constant, on=pair, where=where)) for pair in changes]
        return Sum([(vertex, FitNet(on=logits, where=where)), *edges, *moves])

    @classmethod
    def paper(
        cls,
        layers: Sequence[str],
        changes: Sequence[tuple[str, str]],
        *,
        vertex: float = 1.0,
        edge: float = 0.005,
        vertex_change: float = 0.005,
        edge_change: float = 0.005,
        logits: str = "logits",
        where: str | None = None,
    ) -> Sum:
        """The paper's sums of squares, unscaled: vertices of the logits, edges of all ``layers``, and ``changes``.

        Its weights are unknown to us, as is whether edges change by |A_2 - A_1|_F^2, which we assume.
        """
        raw: dict = {"scale": "none", "reduction": "sum", "where": where}
        return Sum(
            [
                (vertex, FitNet(reduction="sum", on=logits, where=where)),
                *((edge, cls(**raw, on=layer)) for layer in layers),
                *((vertex_change, IRGTransform(**raw, on=pair)) for pair in changes),
                *((edge_change, IRGEdgeTransform(scale="none", where=where, on=pair)) for pair in changes),
            ]
        )

    def digest(self, teacher: Tensor) -> Scaled:
        """The teacher's scale."""
        return Scaled(teacher, edge_scale(teacher, self.scale))

    def forward(self, student: Tensor, teacher: Tensor | Scaled) -> Tensor:
        """See the class."""
        return irg(student, teacher, scale=self.scale, constant=self.constant, reduction=self.reduction)


@dataclass(frozen=True)
class Change:
    """How far every node moved between two layers, squared and scaled: (N,)."""

    lengths: Tensor

    @classmethod
    def of(cls, layers: Layers, scale: Scale = "max", constant: bool = True) -> Change:
        """Of two layers, (N, ..., d); where the second is twice as wide, its adjacent channels are averaged."""
        first, second = layers
        if second.size(-1) == 2 * first.size(-1):
            second = second.unflatten(-1, (-1, 2)).mean(dim=-1)
        if first.shape != second.shape:
            raise ValueError(
                f"the layers must be of one width, or the second twice as wide, got {first.size(-1)} and "
                f"{second.size(-1)}"
            )
        squared = (first - second).to(accumulation_dtype(first)).square().flatten(1).sum(dim=1)
        if scale == "none":
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
    """Squared difference of how far nodes move between two layers; see ``IRGTransform``."""
    choose("scale", scale, get_args(Scale))
    choose("reduction", reduction, get_args(Reduction))
    ours = Change.of(student, scale, constant)
    theirs = teacher if isinstance(teacher, Change) else Change.of(teacher, scale)
    check_rows(ours.lengths[:, None], theirs.lengths[:, None])
    total = (ours.lengths - theirs.lengths).square().sum()
    return total / {"mean": max(ours.lengths.size(0), 1), "rows": 2, "sum": 1}[reduction]


class IRGTransform(Loss):
    """Instance relationship graph, its transformation: match how far nodes move between layers. Liu et al., CVPR 2019.

    (1/N) sum_i (v^s_i - v^t_i)^2 with v_i = |y_i - x_i|^2 / max_j |y_j - x_j|^2 of a layer x and a later one y of the
    same width (or twice it: adjacent channels of y are averaged); ``on`` names the two. ``scale``: the "max", the
    "mean" or "none"; ``constant`` holds the student's constant as the authors' layer does. ``reduction``: the "mean"
    over nodes; "rows", their 1 / 2; "sum". Their weight is 0.005. O(N d).
    """

    on = ("hidden_0", "hidden_1")

    def __init__(
        self,
        scale: Scale = "max",
        *,
        constant: bool = True,
        reduction: Reduction = "mean",
        on: tuple[str, str] | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.scale: Scale = scale
        self.reduction: Reduction = reduction
        self.constant = constant
        choose("scale", scale, get_args(Scale))
        choose("reduction", reduction, get_args(Reduction))

    def digest(self, teacher: Layers) -> Change:
        """How far the teacher's nodes move."""
        return Change.of(teacher, self.scale)

    def forward(self, student: Layers, teacher: Layers | Change) -> Tensor:
        """See the class."""
        return irg_transform(student, teacher, scale=self.scale, constant=self.constant, reduction=self.reduction)


def edge_change(layers: Layers, scale: Scale = "max", constant: bool = True) -> Tensor:
    """How far the edges moved between two layers, |A_2 - A_1|_F^2 of their scaled squared distances: scalar."""
    first, second = layers
    held = Scaled(second, edge_scale(second.detach() if constant else second, scale))
    return irg(first, held, scale=scale, constant=constant, reduction="sum")


def irg_edge_transform(
    student: Layers, teacher: Layers | Tensor, *, scale: Scale = "max", constant: bool = True
) -> Tensor:
    """Squared difference of how far all edges move between two layers; see ``IRGEdgeTransform``."""
    choose("scale", scale, get_args(Scale))
    if not isinstance(teacher, Tensor):
        check_rows(student[0], teacher[0])
        teacher = edge_change(teacher, scale)
    return (edge_change(student, scale, constant) - teacher).square()


class IRGEdgeTransform(Loss):
    """Instance relationship graph, its transformation: match how far edges move between layers. Liu et al., CVPR 2019.

    (|A^s_2 - A^s_1|_F^2 - |A^t_2 - A^t_1|_F^2)^2, A the squared distances of all pairs in a layer over their ``scale``
    (see ``IRG``), of two layers of any widths; ``on`` names them. The authors' code has no such part: the form is our
    reading of the paper, where ``scale`` is "none" (``IRG.paper``). O(N d^2), and the largest distances as in ``IRG``.
    """

    on = ("hidden_0", "hidden_1")

    def __init__(
        self,
        scale: Scale = "max",
        *,
        constant: bool = True,
        on: tuple[str, str] | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.scale: Scale = scale
        self.constant = constant
        choose("scale", scale, get_args(Scale))

    def digest(self, teacher: Layers) -> Tensor:
        """How far the teacher's edges move."""
        return edge_change(teacher, self.scale)

    def forward(self, student: Layers, teacher: Layers | Tensor) -> Tensor:
        """See the class."""
        return irg_edge_transform(student, teacher, scale=self.scale, constant=self.constant)
