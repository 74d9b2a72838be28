"""Differences of the logits of neighbours: the high frequency of FF-G2M."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import edge_layout
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_same_shape

_EDGES = 1 << 16  # edges whose differences are in memory at a time


def high_frequency(student: Tensor, teacher: Tensor, edge_index: Tensor, temperature: float = 1.5) -> Tensor:
    """Compare the differences over each edge by KL: (N, C), (N, C), (2, E) -> scalar; formula at ``HighFrequency``.

    Example::

        >>> student, teacher = torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
        >>> edges = torch.tensor([[0, 1], [1, 0]])  # over which the student differs by (0, 0), the teacher by (1, 0)
        >>> round(float(high_frequency(student, teacher, edges, 1.0)), 3)  # KL of (0.73, 0.27) and (0.5, 0.5)
        0.111
    """
    check_same_shape(student, teacher)
    check_positive("temperature", temperature)
    layout = edge_layout(edge_index, student.size(0))
    blocks = zip(layout.source.split(_EDGES), layout.target.split(_EDGES), strict=True)
    # The backward pass recomputes one block of edges at a time: no (E, C) tensor is stored.
    again = partial(checkpoint, _difference_kl, use_reentrant=False, preserve_rng_state=False)
    parts = [again(student, teacher, *ends, temperature) for ends in blocks]
    return torch.stack(parts).sum() / max(layout.num_edges, 1)


def _difference_kl(student: Tensor, teacher: Tensor, source: Tensor, target: Tensor, temperature: float) -> Tensor:
    wide = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    differences = ((x.index_select(0, source) - x.index_select(0, target)).abs() for x in wide)
    log_q, log_p = ((difference / temperature).log_softmax(dim=1) for difference in differences)
    return F.kl_div(log_q, log_p, reduction="sum", log_target=True)


class HighFrequency(Loss):
    """Match the teacher's differences between neighbours. Wu et al. (FF-G2M), AAAI 2023, arXiv:2305.10758.

    (1/E) sum_{j -> i} KL(softmax(|t_j - t_i| / T) || softmax(|s_j - s_i| / T)), absolute differences of logits taken
    entry by entry, the mean over edges; student, teacher: (N, C), edge_index: (2, E), in the paper without self-loops:
    a self-loop adds 0 to the sum and 1 to E. Where two logits are equal, the derivative of the absolute value is 0.
    O(E C) time, O(N C) memory: the gradient recomputes blocks of edges.

    Example::

        >>> logits = torch.randn(48, 3)
        >>> abs(round(float(HighFrequency()(5 - logits, logits, edge_index=data.edge_index)), 3))  # invariant to sign
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + HighFrequency(temperature=1.5)
        >>> result = graphkd.distil(loss, student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"

    def __init__(self, temperature: float = 1.5, *, on: str | None = None) -> None:
        super().__init__(on=on)
        self.temperature = check_positive("temperature", temperature)

    def forward(self, student: Tensor, teacher: Tensor, *, edge_index: Tensor) -> Tensor:
        return high_frequency(student, teacher, edge_index, self.temperature)


@method("high_frequency", family="graphs", paper="Wu et al., AAAI 2023", arxiv="2305.10758", needs=("edges",))
def high_frequency_method(problem: Problem, *, weight: float = 1.0, temperature: float = 1.5) -> Loss:
    """Match how the teacher's answers differ over edges, beside the labels.

    Choose it where the student is an MLP and neighbours are often of different classes, whose difference plain soft
    targets smooth away.
    """
    return problem.supervised() + weight * HighFrequency(temperature)
