"""The instance relationship graph (IRG): nodes as its vertices, squared distances as its edges."""

from collections.abc import Sequence
from typing import Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads, Sum
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import squared_distance_divergence
from graphkd.kernels.pairs.similarity import squared_distances
from graphkd.losses._checks import check_matrix, check_rows, choose
from graphkd.losses.features.fitnet import FitNet
from graphkd.losses.relations._instances import Reduction, Scale, edge_scale, scale_free
from graphkd.losses.relations.irg_transform import IRGEdgeTransform, IRGTransform
from graphkd.losses.relations.rkd import Scaled


def edge_map(x: Tensor, scale: Scale = "max") -> Tensor:
    """Build the edges of a graph of instances, |x_i - x_j|^2 / scale: (N, d) -> (N, N). ``IRG`` never builds it.

    Example::

        >>> edge_map(torch.tensor([[0.0], [1.0], [2.0]])).tolist()
        [[0.0, 0.25, 1.0], [0.25, 0.0, 0.25], [1.0, 0.25, 0.0]]
    """
    choose("scale", scale, Scale)
    check_matrix("x", x)
    x = scale_free(x, scale)
    centred = x - x.mean(dim=0)  # leaves distances unchanged, reduces cancellation
    return squared_distances(centred, centred.square().sum(dim=1), slice(None)) / edge_scale(x, scale)


def scaled_rows(teacher: Tensor, scale: Scale = "max") -> Scaled:
    """Compute rows and the scale of their squared distances."""
    rows = scale_free(teacher, scale)
    return Scaled(rows, edge_scale(rows, scale))


def irg(
    student: Tensor,
    teacher: Tensor | Scaled,
    *,
    scale: Scale = "max",
    constant: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """Compute the squared difference of scaled squared distances: (N, d_s), (N, d_t) -> scalar; see ``IRG``.

    Example::

        >>> line = torch.tensor([[0.0], [1.0], [2.0]])  # edges 1/4, 1/4 and 1; those of the teacher are 1
        >>> round(float(irg(line, torch.eye(3), reduction="sum")), 3)  # 4 * (3 / 4)^2
        2.25
    """
    choose("scale", scale, Scale)
    choose("reduction", reduction, Reduction)
    check_rows(student, teacher if isinstance(teacher, Tensor) else teacher.features)
    theirs = scaled_rows(teacher, scale) if isinstance(teacher, Tensor) else teacher
    s = scale_free(student, scale)
    ours = edge_scale(s.detach() if constant else s, scale)
    total = squared_distance_divergence(s, theirs.features.to(s.dtype), ours, theirs.scale)
    rows = max(student.size(0), 1)
    return (total / {"mean": rows**2, "rows": 2 * rows, "sum": 1}[reduction]).to(ours.dtype)


class IRG(Loss):
    """Match squared distances of all pairs, the edges of the instance relationship graph. Liu et al., CVPR 2019.

    (1/N^2) |D^s / max D^s - D^t / max D^t|_F^2, D_ij = |x_i - x_j|^2; student: (N, d_s), teacher: (N, d_t). ``scale``:
    "max", "mean" over all pairs (ours, which avoids O(N^2 d)) or "none". ``constant`` gives the student's scale no
    gradient, like the authors' layer, whose gradient is half of ours because it ignores the columns. ``reduction``:
    the "mean" over pairs; "rows", the authors' 1 / 2N; "sum". Their weight is 0.005. Other parts of IRG are
    ``FitNet(on="logits")`` for vertices, ``IRGTransform`` for their changes and ``IRGEdgeTransform`` for changes of
    edges; ``IRG.multi_type`` and ``IRG.paper`` sum parts. O(N d^2) time by Gram matrices; the search for the largest
    distance streams all pairs that norms do not rule out.

    Example::

        >>> x = torch.randn(6, 4)
        >>> abs(round(float(IRG()(3 * x + 1, x)), 3))  # invariant to scale and shift
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + 0.16 * IRG()
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self, scale: Scale = "max", *, constant: bool = True, reduction: Reduction = "mean", **reads: Unpack[Reads]
    ) -> None:
        super().__init__(**reads)
        self.scale, self.constant = choose("scale", scale, Scale), constant
        self.reduction = choose("reduction", reduction, Reduction)

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
        """Add up losses on vertices (logits), on edges of ``layers`` (mean), and on ``changes`` between layers (mean).

        The default weights, and the gradient through the scales, are those of Knowledge-Distillation-Zoo.

        Example::

            >>> loss = IRG.multi_type(["first", "second"], [("first", "second")])  # names of taps of a ``Distiller``
            >>> [(weight, type(part).__name__) for weight, part in loss.parts()]
            [(0.1, 'FitNet'), (2.5, 'IRG'), (2.5, 'IRG'), (5.0, 'IRGTransform')]
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
        """Add up the paper's unscaled squares on vertices (logits), on edges of all ``layers``, and on ``changes``.

        We do not know the paper's weights. That edges change by |A_2 - A_1|_F^2 is our assumption.
        """
        raw: dict = {"scale": "none", "reduction": "sum", "where": where}
        parts: list[tuple[float, Loss]] = [(vertex, FitNet(reduction="sum", on=logits, where=where))]
        parts += [(edge, cls(**raw, on=layer)) for layer in layers]
        parts += [(vertex_change, IRGTransform(**raw, on=pair)) for pair in changes]
        return Sum(
            parts + [(edge_change, IRGEdgeTransform("none", reduction="sum", on=pair, where=where)) for pair in changes]
        )

    def digest(self, teacher: Tensor) -> Scaled:
        """Compute the teacher's rows and their scale once."""
        return scaled_rows(teacher, self.scale)

    def forward(self, student: Tensor, teacher: Tensor | Scaled) -> Tensor:
        return irg(student, teacher, scale=self.scale, constant=self.constant, reduction=self.reduction)


@method("irg", family="relations", paper="Liu et al., CVPR 2019", survey=(63,), tasks=("rows",), needs=("hidden",))
def irg_method(problem: Problem, *, weight: float = 0.16) -> Loss:
    """Match squared distances of all pairs of hidden rows over the largest, beside the labels.

    Choose it as a cheaper ``rkd_distance`` for narrow layers: it uses Gram matrices. ``weight`` multiplies the mean
    over all pairs; it equals the authors' 0.005 for 1 / 2N times the sum at their batch size of 64, 0.005 * 64 / 2.
    """
    return problem.supervised() + weight * IRG()
