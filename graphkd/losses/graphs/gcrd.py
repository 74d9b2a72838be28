"""Graph contrastive representation distillation (G-CRD): a node's student embedding against all teacher embeddings."""

from typing import Self, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch_geometric.nn import GCNConv

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.processes import place
from graphkd.kernels import infonce
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._batch_norm import BatchNorm
from graphkd.losses._checks import check_positive, check_same_shape, check_widths
from graphkd.losses._projector import Linear, check_width
from graphkd.losses._rows import sample_rows


class Head(nn.Module):
    """Linear (or, with ``graph``, GCN convolution) - batch norm - ReLU into the space where two models are compared."""

    def __init__(self, width: int, projection: int, *, graph: bool = False, side: str = "student") -> None:
        super().__init__()
        self.graph, self.side, self.width = graph, side, width
        self.map = GCNConv(width, projection) if graph else Linear(width, projection, side=side)
        self.norm = BatchNorm(projection)

    def forward(self, x: Tensor, edge_index: Tensor | None = None) -> Tensor:
        """Project rows: (N, width) -> (N, projection)."""
        return self.norm(self._convolved(x, edge_index) if self.graph else self.map(x)).relu()

    def _convolved(self, x: Tensor, edge_index: Tensor | None) -> Tensor:
        """Convolve in float32 at least, as ``Linear`` multiplies."""
        check_width(self.side, x, self.width)
        x = x.to(torch.promote_types(accumulation_dtype(x), self.map.bias.dtype))
        held = {name: parameter.to(x.dtype) for name, parameter in self.map.named_parameters()}
        return functional_call(self.map, held, (x, edge_index))


def gcrd(
    student: Tensor,
    teacher: Tensor,
    temperature: float = 0.075,
    *,
    max_samples: int | None = None,
    share: tuple[int, int] = (0, 1),
    eps: float = 0.0,
) -> Tensor:
    """Contrast student anchors with all teacher rows, in one space, by InfoNCE: (N, p), (N, p) -> scalar.

    ``share=(k, n)`` contrasts the k-th of n parts of the anchors and multiplies it by n: the mean over k is the loss.
    ``max_samples`` and ``eps``: see ``GCRD``.

    Example::

        >>> x, y = torch.randn(6, 4), torch.randn(6, 4)
        >>> shares = [gcrd(x, y, share=(part, 2)) for part in range(2)]  # of the anchors of two processes
        >>> bool(torch.isclose(torch.stack(shares).mean(), gcrd(x, y)))
        True
    """
    check_same_shape(student, teacher, "; GCRD(student_width, teacher_width) projects both")
    check_positive("temperature", temperature)
    student, teacher = sample_rows(student, teacher, max_samples)
    anchor, candidate = (_unit(x, eps) for x in (student, teacher))
    start, end = (student.size(0) * part // share[1] for part in (share[0], share[0] + 1))
    if start:
        candidate = candidate.roll(-start, 0)  # the positive of the first anchor comes first
    return infonce(anchor[start:end], candidate, temperature).sum() * share[1] / max(student.size(0), 1)


def _unit(x: Tensor, eps: float) -> Tensor:
    return F.normalize(x.to(accumulation_dtype(x)), eps=eps) if eps else unit_vectors(x)


class GCRD(Loss):
    """Contrast each node's embedding with the teacher's of all nodes. Joshi et al., 2022, arXiv:2111.04964 (G-CRD).

    a = P_s(s) / |.|, b = P_t(t) / |.|, (1/N) sum_i [-a_i . b_i / tau + log sum_j exp(a_i . b_j / tau)], the positive
    included. student: (N, d_s), teacher: (N, d_t). Heads P on both sides train with the student: linear - batch norm
    - ReLU, or with ``graph`` the authors' 'gcd' variant, whose GCN convolution reads ``edge_index``. Without widths
    the features must share a space. A row of zeros has no direction and no gradient; ``eps`` bounds lengths from below
    (1e-12 in the authors' code) and gives such a row a gradient of the order of 1 / eps. All nodes are candidates
    (streamed: O(N^2 p) time, O(N p) memory); ``max_samples`` draws a subset at each step, as the authors do. Their
    weights: 0.01 beside KD, 0.1 alone. ``gathered()`` makes the rows of all processes candidates; each process takes
    its part of the anchors, and the loss is the mean of the processes' values.

    Example::

        >>> round(float(GCRD(temperature=1.0)(3 * torch.eye(2), torch.eye(2))), 3)  # log(1 + 1 / e), invariant to scale
        0.313
        >>> loss = graphkd.losses.CE(where="train_mask") + 0.1 * GCRD(student_width=12, teacher_width=12, projection=16)
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self,
        student_width: int | None = None,
        teacher_width: int | None = None,
        projection: int = 256,
        temperature: float = 0.075,
        *,
        graph: bool = False,
        max_samples: int | None = None,
        eps: float = 0.0,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        if graph:
            self._reads_whole("GCRD(graph=True) convolves the whole graph")
        check_widths(student_width, teacher_width)
        self.graph, self.temperature, self.max_samples, self.eps = graph, temperature, max_samples, eps
        self.heads = nn.ModuleList(
            Head(width, projection, graph=graph, side=side)
            for side, width in (("student", student_width), ("teacher", teacher_width))
            if width is not None
        )

    def gathered(self) -> Self:
        """Contrast with the rows of all processes, see ``Loss.gathered``; ValueError for ``graph=True``."""
        if self.graph:
            raise ValueError("GCRD(graph=True) convolves one batch's graph: gathered() cannot join those of processes")
        return super().gathered()

    def forward(self, student: Tensor, teacher: Tensor, *, edge_index: Tensor | None = None) -> Tensor:
        if self.graph and edge_index is None:
            raise ValueError("GCRD(graph=True) needs 'edge_index' from the batch, got None")
        if len(self.heads):
            student, teacher = self.heads[0](student, edge_index), self.heads[1](teacher, edge_index)
        share = place() if self.gathers else (0, 1)
        return gcrd(student, teacher, self.temperature, max_samples=self.max_samples, share=share, eps=self.eps)


@method(
    "gcrd", family="graphs", paper="Joshi et al., TNNLS 2022", arxiv="2111.04964", tasks=("rows",), needs=("hidden",)
)
def gcrd_method(problem: Problem, *, weight: float = 0.1, projection: int = 128, temperature: float = 0.075) -> Loss:
    """Tell each node's hidden row of the teacher from those of all others, beside the labels.

    Choose it where student and teacher differ in kind or in width: both sides learn heads into one space. The weight is
    the authors' without soft targets.
    """
    return problem.supervised() + weight * GCRD(*problem.widths, projection=projection, temperature=temperature)
