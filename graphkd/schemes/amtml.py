"""Teachers weighted anew for each row by what is learnt with the student (AMTML-KD)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkd.losses.distances import rkd_angle, rkd_distance
from graphkd.losses.response import cross_entropy, kl
from graphkd.schemes.weights import check_stack, soft_target


class AdaptiveWeights(nn.Module):
    """A weight of each teacher for each row. Liu, Zhang and Wang, Neurocomputing 2020, arXiv:2103.04062 (AMTML-KD).

    w_ki = softmax_k(v . (x_i * f_k)), x_i the student's pooled features (d,), f_k a factor of teacher k; v and f train
    with the student. (N, d) -> (K, N).
    """

    def __init__(self, teachers: int, width: int) -> None:
        super().__init__()
        self.factors = nn.Parameter(nn.init.xavier_uniform_(torch.empty(teachers, width)))
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, width))[0])

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return ((self.factors * self.weight) @ features.t()).softmax(dim=0)

    def penalty(self) -> Tensor:
        """|f|^2 + |v|^2, which the authors' code adds with a factor of 0.1."""
        return self.factors.square().sum() + self.weight.square().sum()


def amtml(
    student: Tensor, teachers: Tensor, y: Tensor, weights: Tensor, temperature: float = 5.0, *, alpha: float = 0.7
) -> Tensor:
    """The sum that AMTML-KD's notebook runs, without its hints: (N, C), (K, N, C), (N,), (K, N) -> scalar.

    With p = log softmax(s / T) and q = sum_k w_k softmax(t_k / T): 2 alpha T^2 KL(q || p) / C + (1 - alpha) CE(p, y) +
    RKD-A(p, q) + RKD-D(p, q). Oddities kept: KL is averaged over all entries, p takes the place of the logits in CE,
    and the relational terms compare log-probabilities with probabilities, q constant there. Add
    ``AdaptiveWeights.penalty`` and ``FitNet`` for the rest.
    """
    check_stack(teachers)
    softened = (student / temperature).log_softmax(dim=-1)
    target = soft_target(teachers, temperature, weights=weights) / temperature
    soft = 2 * alpha * temperature**2 * kl(softened, target, reduction="elementmean")
    probabilities = target.exp().detach()
    relations = rkd_angle(softened, probabilities) + rkd_distance(softened, probabilities)
    return soft + (1 - alpha) * cross_entropy(softened, y) + relations
