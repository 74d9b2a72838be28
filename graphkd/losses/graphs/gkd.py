"""Deep geometric distillation (GKD): graphs of all nodes by the cosine of their features, and their powers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads, Sum
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import (
    EdgeLayout,
    edge_dot,
    edge_layout,
    gram,
    gram_distance,
    grams,
    grouped_gram_distance,
    power_divergence,
    row_forms,
    similar_rows,
)
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.kernels.pairs.grouped_gram import groups
from graphkd.losses._checks import check_matrix, check_positive, check_rows, choose, class_ids

Mask = Literal["intra", "inter"]


def normalised_rows(x: Tensor) -> Tensor:
    """Scale rows so that y_i . y_j = W_ij off the diagonal, W = D^-1/2 A D^-1/2 of the cosines A: (N, ..., d).

    Returns (N, flattened width). Features below 0 count as 0. A row with no similar row, or of zeros, becomes zeros.
    """
    rows = x.to(accumulation_dtype(x)).flatten(1).clamp_min(0)  # clamp_min has gradient 1 at 0
    unit = unit_vectors(rows)
    degree = (unit * (unit.sum(dim=0) - unit)).sum(dim=1, keepdim=True)
    rounding = torch.finfo(degree.dtype).eps
    return unit * torch.where(degree > rounding, degree, torch.inf).rsqrt()


@dataclass(frozen=True)
class Neighbours:
    """Pairs of nodes of which one is among the other's nearest, listed in both directions, with their shares."""

    layout: EdgeLayout
    share: Tensor  # (E,) in the layout's order: 1/2 for a pair that is listed twice

    @classmethod
    def of(cls, rows: Tensor, count: int, y: Tensor | None = None, mask: Mask | None = None) -> Self:
        """Find the ``count`` largest unmasked entries in every row of a graph."""
        nearest = similar_rows(rows, count, None if mask is None else y, same=mask != "inter")
        nodes = rows.size(0)
        one = torch.arange(nodes, device=rows.device).repeat_interleave(nearest.size(1))
        other = nearest.flatten()
        mutual = torch.isin(one * nodes + other, other * nodes + one)
        share = torch.where(mutual, 0.5, 1.0).to(rows.dtype) * (one != other)
        layout = edge_layout(torch.stack([torch.cat([other, one]), torch.cat([one, other])]), nodes)
        return cls(layout, share.repeat(2)[layout.order])

    @property
    def edges(self) -> Tensor:
        """The edges, (2, E), in the order of ``share``."""
        return torch.stack([self.layout.target, self.layout.source])

    def entries(self, rows: Tensor) -> Tensor:
        """Compute a graph's entries at these pairs, (N, d) -> (E,); a pair listed twice gets half its entry each."""
        return self.share * edge_dot(rows, rows, self.layout)


@dataclass(frozen=True)
class GeometricGraph:
    """A teacher's graph: ``normalised_rows`` and, with a number of neighbours, the only pairs that count."""

    rows: Tensor
    neighbours: Neighbours | None = None

    @classmethod
    def of(cls, x: Tensor, y: Tensor | None = None, mask: Mask | None = None, neighbours: int | None = None) -> Self:
        """Build the graph of features (N, ..., d)."""
        rows = normalised_rows(x)
        if neighbours is None or neighbours >= x.size(0) - 1:
            return cls(rows)
        return cls(rows, Neighbours.of(rows, neighbours, y, mask))


def geometric_graph(
    x: Tensor,
    y: Tensor | None = None,
    *,
    power: int = 1,
    mask: Mask | None = None,
    neighbours: int | None = None,
    teacher: Tensor | None = None,
) -> Tensor:
    """Build W^p of ``GKD`` as a matrix, (N, ..., d) -> (N, N); with the neighbours of ``teacher``, else its own.

    For inspection: the loss never builds it.

    Example::

        >>> geometric_graph(torch.ones(3, 2))  # all cosines 1, all degrees 2
        tensor([[0.0000, 0.5000, 0.5000],
                [0.5000, 0.0000, 0.5000],
                [0.5000, 0.5000, 0.0000]])
    """
    check_matrix("x", x)
    y = _classes(x.size(0), y, mask)
    known = GeometricGraph.of(x if teacher is None else teacher, y, mask, neighbours).neighbours
    rows = normalised_rows(x)
    if known is not None:
        i, j = known.edges.long()
        graph = rows.new_zeros(x.size(0), x.size(0)).index_put((i, j), known.entries(rows), accumulate=True)
    else:
        graph = (rows @ rows.t()) * (1 - torch.eye(x.size(0), dtype=rows.dtype, device=rows.device))
        if mask is not None and y is not None:
            graph = graph * ((y[:, None] == y) == (mask == "intra"))
    return torch.linalg.matrix_power(graph, power)


def _classes(rows: int, y: Tensor | None, mask: Mask | None) -> Tensor | None:
    """Check the nodes' classes where a mask reads them."""
    if mask is None:
        return y
    choose("mask", mask, Mask)
    if y is None:
        raise ValueError(f"mask={mask!r} needs the classes 'y' of the nodes, got None")
    return class_ids(y, rows)


def gkd(
    student: Tensor,
    teacher: Tensor | GeometricGraph,
    y: Tensor | None = None,
    *,
    power: int = 1,
    mask: Mask | None = None,
    neighbours: int | None = None,
) -> Tensor:
    """Compare powers of two graphs by |.|_F^2: (N, ..., d_s), (N, ..., d_t), (N,) -> scalar; see ``GKD``.

    Example::

        >>> apart, alike = torch.eye(3), torch.ones(3, 2)  # no edges, and all six of 1/2
        >>> [round(float(gkd(apart, alike, power=power)), 3) for power in (1, 2)]
        [1.5, 1.125]
    """
    check_matrix("student", student)
    y = _classes(student.size(0), y, mask)
    if isinstance(teacher, Tensor):
        check_matrix("teacher", teacher)
        check_rows(student.flatten(1), teacher.flatten(1))
        teacher = GeometricGraph.of(teacher, y, mask, neighbours)
    s, t, near = normalised_rows(student), teacher.rows, teacher.neighbours
    check_rows(s, t)
    if s.size(0) == 0:
        return s.sum()
    if near is not None:
        found = power_divergence(near.entries(s), near.entries(t), near.edges, s.size(0), power)
    elif power == 1:
        found = _distance(s, t, y, mask)
    elif mask == "intra" and y is not None:  # one block of the matrices per class
        blocks = [_power_distance(*_low_rank(s[rows], t[rows], power)) for rows in groups(y)]
        found = torch.stack(blocks).sum()
    else:
        found = _power_distance(*_low_rank(s, t, power, y if mask == "inter" else None))
    return found.to(s.dtype)


def _distance(s: Tensor, t: Tensor, y: Tensor | None, mask: Mask | None) -> Tensor:
    """Compute |W^s - W^t|_F^2 from Gram matrices: W equals Y Y' except on the diagonal, where W is 0."""
    within = grouped_gram_distance(s, t, y) if mask is not None and y is not None else None
    if mask == "inter" and within is not None:  # a difference of two large numbers: float64 from the start
        return (gram_distance(*grams(s.double(), t.double())) - within).clamp_min(0)
    diagonal = (s.double().square().sum(dim=1) - t.double().square().sum(dim=1)).square().sum()
    return ((gram_distance(*grams(s, t)) if within is None else within) - diagonal).clamp_min(0)


@dataclass(frozen=True)
class LowRank:
    """A symmetric N x N matrix U M U' + diag(delta), in float64."""

    columns: Tensor
    middle: Tensor
    diagonal: Tensor

    @classmethod
    def power(cls, columns: Tensor, sign: Tensor, diagonal: Tensor, power: int) -> Self:
        """(F K F' - diag(e))^p, K = diag(sign), with U = [F, E F, ..., E^(p-1) F].

        W^(r+1) = W^r (F K F' - E) with W^r = U M U' + (-E)^r; the last block of E U extends the next U.
        """
        width, middle, found = columns.size(1), sign.diag(), columns
        for r in range(1, power):
            turned = middle @ gram(found, columns) * sign
            corner = torch.cat([turned, (-1) ** r * sign.diag()])
            middle = torch.cat([corner, torch.cat([-middle, middle.new_zeros(width, middle.size(1))])], dim=1)
            found = torch.cat([found, diagonal[:, None] * found[:, -width:]], dim=1)
        return cls(found, middle, (-diagonal) ** power)

    def dot(self, other: Self) -> Tensor:
        """Sum the products of the entries of both matrices."""
        cross = gram(self.columns, other.columns)
        total = ((self.middle @ cross @ other.middle) * cross).sum()
        for one, two in ((self, other), (other, self)):
            total = total + (row_forms(one.columns, one.middle, one.columns) * two.diagonal).sum()
        return total + (self.diagonal * other.diagonal).sum()


def _power_distance(s: LowRank, t: LowRank) -> Tensor:
    return (s.dot(s) + t.dot(t) - 2 * s.dot(t)).clamp_min(0)


def _low_rank(s: Tensor, t: Tensor, power: int, y: Tensor | None = None) -> tuple[LowRank, LowRank]:
    """Raise Y Y' without diagonal to a power, or with ``y`` its pairs of different classes, Y Y' - sum_c Y_c Y_c'."""

    def one(rows: Tensor) -> LowRank:
        rows = rows.double()
        diagonal, sign = rows.square().sum(dim=1), rows.new_ones(rows.size(1))
        if y is not None:
            classes = torch.nn.functional.one_hot(y.unique(return_inverse=True)[1]).to(rows.dtype)
            apart = (classes[:, :, None] * rows[:, None]).flatten(1)
            rows, sign = torch.cat([rows, apart], dim=1), torch.cat([sign, -rows.new_ones(apart.size(1))])
            diagonal = torch.zeros_like(diagonal)
        return LowRank.power(rows, sign, diagonal, power)

    return one(s), one(t)


class GKD(Loss):
    """Match the similarity graph of nodes: deep geometric distillation. Lassance et al., ICASSP 2020 (GKD).

    |W_t^p - W_s^p|_F^2, a sum, W = D^-1/2 A D^-1/2, A the cosines of features after their ReLU (below 0 counts as 0),
    diagonal 0, D its row sums; arXiv:1911.03080. student: (N, ..., d_s), teacher: (N, ..., d_t); power: p. ``mask``
    keeps pairs of one class ("intra") or of two ("inter") by ``y``: (N,); degrees count all pairs. ``neighbours=k``
    keeps the pairs of which one is among the other's k largest entries in the teacher's masked graph (k of N - 1 or
    more keeps all); entries of 0 never count, whereas the authors' sort breaks their ties by chance. The authors
    average 3 layers (``GKD.layers``) with weight 25, p = 1 and no k. Nodes without similar ones have no edges; in the
    authors' code they give NaN.

    Exact without N x N matrices: Gram matrices of rank-pd plus diagonal forms, O(N p^2 d^2) time; "inter" with p > 1
    makes d C + 1 times as wide. With k, sparse products of O(N k) entries after an O(N^2 d) search, which a ``Cached``
    teacher does once.

    Example::

        >>> y = torch.tensor([0, 0, 1])
        >>> pair = torch.eye(3), torch.ones(3, 2)  # no edges, and all six of 1/2: 6 (1/2)^2
        >>> [round(float(GKD(mask=mask)(*pair, y=y)), 3) for mask in (None, "intra", "inter")]
        [1.5, 0.5, 1.0]
        >>> loss = graphkd.losses.CE(where="train_mask") + 25 * GKD()
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"
    rows = ("y",)

    def __init__(
        self, *, power: int = 1, mask: Mask | None = None, neighbours: int | None = None, **reads: Unpack[Reads]
    ) -> None:
        super().__init__(**reads)
        self.power = int(check_positive("power", power))
        self.mask = None if mask is None else choose("mask", mask, Mask)
        self.learns_labels = mask is not None
        self.neighbours = neighbours if neighbours is None else int(check_positive("neighbours", neighbours))

    @classmethod
    def layers(cls, entries: Sequence[str], *, divisor: float | None = None, **options: Any) -> Sum:
        """Average several layers, or divide their sum by ``divisor``; the authors' is 3 for any number of layers."""
        return Sum([(1 / (divisor or len(entries)), cls(**options, on=on)) for on in entries])

    def digest(self, teacher: Tensor, *, y: Tensor | None = None) -> GeometricGraph:
        """Compute the teacher's graph and its neighbours once."""
        y = _classes(teacher.size(0), y, self.mask)
        return GeometricGraph.of(teacher, y, self.mask, self.neighbours)

    def forward(self, student: Tensor, teacher: Tensor | GeometricGraph, *, y: Tensor | None = None) -> Tensor:
        return gkd(student, teacher, y, power=self.power, mask=self.mask, neighbours=self.neighbours)


@method(
    "gkd", family="graphs", paper="Lassance et al., ICASSP 2020", arxiv="1911.03080", tasks=("rows",), needs=("hidden",)
)
def gkd_method(problem: Problem, *, weight: float = 25.0) -> Loss:
    """Match the degree-normalised graphs that the cosines of hidden rows span, beside the labels.

    Choose it where relations of all nodes should be learnt from features after a ReLU, on graphs of any size.
    """
    return problem.supervised() + weight * GKD()
