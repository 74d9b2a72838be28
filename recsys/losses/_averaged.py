"""Averaged experts: the mean of several small networks, with dropout before their layers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from recsys.losses._experts import stacked_linear
from recsys.losses._routed import mixture


class AveragedExperts(nn.Module):
    """f(x) = (1 / M) sum_m (W2_m relu(W1_m x + b1_m) + b2_m): (n, d_s) -> (n, d_t), of hidden width ``hidden``.

    dropout: probability that an input of either layer is 0 in training, drawn for every network separately.
    """

    def __init__(self, student_dim: int, teacher_dim: int, hidden: int, experts: int = 5, dropout: float = 0.2) -> None:
        super().__init__()
        if min(student_dim, teacher_dim, hidden, experts) < 1:
            got = f"{student_dim}, {teacher_dim}, {hidden}, {experts}"
            raise ValueError(f"widths and 'experts' must be positive, got {got}")
        if not 0 <= dropout < 1:
            raise ValueError(f"'dropout' must be in [0, 1), got {dropout}")
        self.widths, self.dropout = (student_dim, teacher_dim), dropout
        self.w1, self.b1 = stacked_linear(experts, hidden, student_dim)
        self.w2, self.b2 = stacked_linear(experts, teacher_dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """See the class. O(n M hidden (d_s + d_t)); with dropout the hidden layers of all M networks are stored."""
        if x.dim() != 2 or x.size(1) != self.widths[0]:
            raise ValueError(f"'student' must have the width {self.widths[0]}, got shape {tuple(x.shape)}")
        count = self.b1.size(0)
        if not (self.training and self.dropout):
            return mixture(x, x.new_full((x.size(0), count), 1 / count), self.w1, self.b1, self.w2, self.b2)
        x = F.dropout(x.to(self.w1.dtype).expand(count, -1, -1), self.dropout)
        hidden = F.dropout((x @ self.w1.mT + self.b1[:, None]).relu(), self.dropout)
        return (hidden @ self.w2.mT + self.b2[:, None]).mean(dim=0)
