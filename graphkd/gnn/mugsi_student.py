"""The student of MuGSI: an MLP on nodes, and attention that pools nodes to graphs and clusters."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from graphkd.gnn.mugsi_terms import pooled


class AttentionPooling(nn.Module):
    """Sum rows by index, weighed by a softmax of Linear-ReLU-BatchNorm-Linear per index: (n, d), (n,) -> (B, d)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.BatchNorm1d(width), nn.Linear(width, 1))

    def forward(self, rows: Tensor, index: Tensor, count: int | None = None) -> Tensor:
        """(n, d), (n,) -> (count, d)."""
        return pooled(rows, index, int(index.max()) + 1 if count is None else count, self.gate)


class MuGSIStudent(nn.Module):
    """Classify graphs by an MLP of their nodes' features: three linear layers (h, 2h, 2h), attention, a linear layer.

    features, classes, width: F, C and h. The layer ``embed`` has a row per node, ``pool`` one per graph. Edges are not
    read, so give structure as features: Laplacian eigenvectors (PyG's ``AddLaplacianEigenvectorPE``) or sums over
    neighbours, the authors' MLP* and GA-MLP.

    Example::

        >>> model = MuGSIStudent(features=8, classes=2, width=16).eval()
        >>> tuple(model(data.x, batch=torch.arange(48) // 16).shape)  # three graphs
        (3, 2)
    """

    def __init__(self, features: int, classes: int, width: int = 64, *, dropout: float = 0.0) -> None:
        super().__init__()
        widths = [features, width, 2 * width, 2 * width]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU(), nn.Dropout(dropout)]
        self.embed, self.pool = nn.Sequential(*layers), AttentionPooling(2 * width)
        self.last = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor, batch: Tensor | None = None) -> Tensor:
        """(n, F), (n,) the graph of each node, by default one graph -> (B, C)."""
        index = torch.zeros(x.size(0), dtype=torch.long, device=x.device) if batch is None else batch
        scores: Tensor = self.last(self.pool(self.embed(x), index, 1 if batch is None else None))
        return scores
