"""Soft labels of neighbours as targets: the low frequency of FF-G2M."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import edge_layout, edge_spmm
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape


@dataclass(frozen=True)
class NeighbourAnswers:
    """Store a teacher's part of ``low_frequency``: for every node the sum of the soft labels q_i of its targets i.

    target: (N, C) these sums; entropy: sum_e H(q_i), scalar; edges: their number.

    Example::

        >>> answers = NeighbourAnswers.of(torch.zeros(2, 2), torch.tensor([[0, 0], [1, 1]]))  # 0 -> 1, twice
        >>> answers.target.tolist(), answers.edges  # two soft labels (1/2, 1/2) for node 0, none for node 1
        ([[1.0, 1.0], [0.0, 0.0]], 2)
    """

    target: Tensor
    entropy: Tensor
    edges: int

    @classmethod
    def of(cls, teacher: Tensor, edge_index: Tensor, *, self_loops: bool = False) -> Self:
        """Sum over edges j -> i, with ``self_loops`` also over a loop at every node: (N, C) logits, (2, E)."""
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
    """Compare predictions with neighbours' soft labels by KL: (N, C), (N, C), (2, E) -> scalar; see ``LowFrequency``.

    Example::

        >>> student, teacher = torch.tensor([[1.0986, 0.0], [0.0, 0.0]]), torch.zeros(2, 2)  # (3/4, 1/4) of node 0
        >>> edges = torch.tensor([[0, 1], [1, 0]])
        >>> round(float(low_frequency(student, teacher, edges)), 3)  # half of log(2 / sqrt(3)), by the edge 0 -> 1
        0.072
    """
    check_same_shape(student, teacher if isinstance(teacher, Tensor) else teacher.target)
    t = NeighbourAnswers.of(teacher, edge_index, self_loops=self_loops) if isinstance(teacher, Tensor) else teacher
    log_p = student.to(accumulation_dtype(student)).log_softmax(dim=1)
    return -((t.target * log_p).sum() + t.entropy) / max(t.edges, 1)


class LowFrequency(Loss):
    """Match the teacher's predictions for the neighbours. Wu et al. (FF-G2M), AAAI 2023, arXiv:2305.10758.

    (1/E) sum_{j -> i} KL(softmax(t_i) || softmax(s_j)), the mean over edges as listed; student, teacher: (N, C) logits,
    edge_index: (2, E). ``self_loops`` adds an edge at every node, as the paper does: its term j = i is ordinary soft
    targets. The loss needs only the teacher's soft labels summed over each node's targets, which a ``Cached`` teacher
    stores: O(E C) time once, then O(N C) per step.

    Example::

        >>> logits, edges = torch.randn(2, 3), torch.tensor([[0, 1], [1, 0]])
        >>> abs(round(float(LowFrequency()(logits.flip(0), logits, edge_index=edges)), 3))  # the other's logits
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + LowFrequency(self_loops=True)
        >>> result = graphkd.distil(loss, student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"

    def __init__(self, *, self_loops: bool = False, on: str | None = None) -> None:
        super().__init__(on=on)
        self.self_loops = self_loops

    def digest(self, teacher: Tensor, *, edge_index: Tensor) -> NeighbourAnswers:  # type: ignore[override]
        """Sum the teacher's soft labels over the targets of each node once."""
        return NeighbourAnswers.of(teacher, edge_index, self_loops=self.self_loops)

    def forward(self, student: Tensor, teacher: Tensor | NeighbourAnswers, *, edge_index: Tensor) -> Tensor:
        return low_frequency(student, teacher, edge_index, self_loops=self.self_loops)


@method("low_frequency", family="graphs", paper="Wu et al., AAAI 2023", arxiv="2305.10758", needs=("edges",))
def low_frequency_method(problem: Problem, *, weight: float = 1.0, self_loops: bool = True) -> Loss:
    """Match the teacher's answers for the neighbours of every node, beside the labels.

    Choose it where the student is an MLP and neighbours are mostly of one class: it learns what message passing would
    have smoothed. ``ffg2m`` combines it with ``high_frequency``.
    """
    return problem.supervised() + weight * LowFrequency(self_loops=self_loops)
