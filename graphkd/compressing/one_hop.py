"""Shallow graph neural network: narrow hidden features of each node, and their mean over its neighbours."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import SAGEConv


class OneHop(nn.Module):
    """Classify nodes by a hidden layer, their own row of it and its mean over in-neighbours.

    logits_i = W_1 mean_{j -> i} h_j + W_2 h_i with h = dropout(relu(W x + b)): one layer of GraphSAGE (Hamilton et al.,
    NeurIPS 2017) above a linear one. A query fetches one hop; edges have no weights.

    Args:
        features: F.
        width: of the hidden layer, whose rows neighbours send.
        answers: C.
        dropout: of the hidden layer.

    Shapes:
        x (N, F), edge_index (2, E) -> (N, C); a call takes O(N F width + E width).

    Example::

        graphkd.distil("kd", OneHop(1433, 64, 7), teacher, data)
    """

    def __init__(self, features: int, width: int, answers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.lin, self.conv = nn.Linear(features, width), SAGEConv(width, answers)
        self.dropout = dropout

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """(N, F), (2, E) -> (N, C)."""
        hidden = F.dropout(self.lin(x).relu(), self.dropout, self.training)
        answers: Tensor = self.conv(hidden, edge_index)
        return answers
