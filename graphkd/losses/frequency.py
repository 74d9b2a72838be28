"""How answers vary over edges: what neighbours share (low frequency) and how they differ (high frequency)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from graphkd.core.loss import Loss
from graphkd.kernels import edge_layout, edge_spmm
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_same_shape

_EDGES = 1 << 16  # whose differences are held at a time


@dataclass(frozen=True)
class NeighbourAnswers:
    """A teacher's part of ``low_frequency``: for every node the soft labels q_i of its targets i, summed.

    target: (N, C); entropy: sum_e H(q_i), scalar; edges: how many there are.
    """

    target: Tensor
    entropy: Tensor
    edges: int

    @classmethod
    def of(cls, teacher: Tensor, edge_index: Tensor, *, self_loops: bool = False) -> NeighbourAnswers:
        """(N, C) logits, (2, E) -> the sums over edges j -> i, and over a loop at every node where asked for."""
        layout = edge_layout(edge_index, teacher.size(0))
        log_q = teacher.to(accumulation_dtype(teacher)).log_softmax(dim=1)
        q, loops = log_q.exp(), int(self_loops)
        target = edge_spmm(q.new_ones(layout.num_edges), q, layout, transpose=True) + loops * q
        degree = layout.ptr.diff() + loops
        entropy = -(degree * (q * log_q).sum(dim=1)).sum()
        return cls(target, entropy, layout.num_edges + loops * layout.num_nodes)


def low_frequency(
    student: Tensor, teacher: Tensor | NeighbourAnswers, edge_index: Tensor, *, self_loops: bool = False
) -> Tensor:
    """KL of each node's answer from its neighbours' soft labels: (N, C), (N, C), (2, E) -> scalar; ``LowFrequency``."""
    check_same_shape(student, teacher if isinstance(teacher, Tensor) else teacher.target)
    t = NeighbourAnswers.of(teacher, edge_index, self_loops=self_loops) if isinstance(teacher, Tensor) else teacher
    log_p = student.to(accumulation_dtype(student)).log_softmax(dim=1)
    return -((t.target * log_p).sum() + t.entropy) / max(t.edges, 1)


class LowFrequency(Loss):
    """Answer as the teacher answers for the neighbours. Wu et al. (FF-G2M), AAAI 2023, arXiv:2305.10758.

    (1/E) sum_{j -> i} KL(softmax(t_i) || softmax(s_j)), the mean over edges taken literally; student, teacher: (N, C)
    logits, edge_index: (2, E). ``self_loops`` adds an edge at every node, as the paper does: the term j = i is then
    ordinary soft targets. The sum over edges needs the teacher's soft labels summed over each node's targets alone,
    which a ``Cached`` teacher keeps: O(N C) a step, O(E C) once.
    """

    def __init__(self, *, self_loops: bool = False, on: str | None = None) -> None:
        super().__init__(on=on)
        self.self_loops = self_loops

    def digest(self, teacher: Tensor, *, edge_index: Tensor) -> NeighbourAnswers:  # type: ignore[override]
        """The teacher's soft labels, summed over the targets of each node."""
        return NeighbourAnswers.of(teacher, edge_index, self_loops=self.self_loops)

    def forward(self, student: Tensor, teacher: Tensor | NeighbourAnswers, *, edge_index: Tensor) -> Tensor:
        """See the class."""
        return low_frequency(student, teacher, edge_index, self_loops=self.self_loops)


def high_frequency(student: Tensor, teacher: Tensor, edge_index: Tensor, temperature: float = 1.5) -> Tensor:
    """KL of how the ends of each edge differ: (N, C), (N, C), (2, E) -> scalar; formula at ``HighFrequency``."""
    check_same_shape(student, teacher)
    check_positive("temperature", temperature)
    layout = edge_layout(edge_index, student.size(0))
    blocks = zip(layout.source.split(_EDGES), layout.target.split(_EDGES), strict=True)
    # Computed again in the backward, a block of edges at a time: no E x C is kept.
    again = partial(checkpoint, _difference_kl, use_reentrant=False, preserve_rng_state=False)
    parts = [again(student, teacher, *ends, temperature) for ends in blocks]
    return torch.stack(parts).sum() / max(layout.num_edges, 1)


def _difference_kl(student: Tensor, teacher: Tensor, source: Tensor, target: Tensor, temperature: float) -> Tensor:
    wide = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    differences = ((x.index_select(0, source) - x.index_select(0, target)).abs() for x in wide)
    log_q, log_p = ((difference / temperature).log_softmax(dim=1) for difference in differences)
    return F.kl_div(log_q, log_p, reduction="sum", log_target=True)


class HighFrequency(Loss):
    """Differ from the neighbours as the teacher does. Wu et al. (FF-G2M), AAAI 2023, arXiv:2305.10758.

    (1/E) sum_{j -> i} KL(softmax(|t_j - t_i| / T) || softmax(|s_j - s_i| / T)), absolute differences of logits taken
    entry by entry, the mean over edges; student, teacher: (N, C), edge_index: (2, E) without self-loops in the paper:
    one adds 0 to the sum and 1 to E. Where two logits are equal the derivative of the absolute value is 0.
    O(E C) time, O(N C) memory: blocks of edges are computed again for the gradient.
    """

    def __init__(self, temperature: float = 1.5, *, on: str | None = None) -> None:
        super().__init__(on=on)
        self.temperature = check_positive("temperature", temperature)

    def forward(self, student: Tensor, teacher: Tensor, *, edge_index: Tensor) -> Tensor:
        """See the class."""
        return high_frequency(student, teacher, edge_index, self.temperature)
