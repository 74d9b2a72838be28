"""FF-G2M: an MLP learns from a graph neural network what neighbours share, and how they differ.

Wu, Lin, Huang, Fan and Li, "Extracting Low-/High-Frequency Knowledge from Graph Neural Networks and Injecting it into
MLPs: An Effective GNN-to-MLP Distillation Framework", AAAI 2023, arXiv:2305.10758.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch_geometric.data import Data

from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen, cached
from graphkd.gnn.options import complete
from graphkd.losses import CE, HighFrequency, LowFrequency


def ff_g2m(
    student: nn.Module,
    teacher: nn.Module | Frozen,
    data: Data,
    *,
    label_weight: float = 0.1,
    temperature: float = 1.5,
    **options: Any,
) -> nn.Module:
    """Train a student on labels and on both frequencies: lambda CE(labelled) + (1 - lambda) (low + high).

    student: ``forward(x)``; teacher: any node classifier, or a teacher; data: x (N, F), edge_index (2, E) without
    self-loops, y, train_mask, and val_mask if the best epoch is to be kept. label_weight is lambda; it and the
    temperature of ``HighFrequency`` are by default those published for a GCN on CiteSeer. options go to ``fit``;
    defaults: 500 epochs, patience 50, Adam(0.01, weight decay 5e-4). The authors' features are row-normalised by their
    loader, and their teacher and student have the same depth and width; both are left to the caller.
    """
    if not 0 <= label_weight <= 1:
        raise ValueError(f"'label_weight' must be in [0, 1], got {label_weight}")
    losses: dict[str, Loss] = {
        "label": label_weight * CE(where="train_mask"),
        "low": (1 - label_weight) * LowFrequency(self_loops=True),
        "high": (1 - label_weight) * HighFrequency(temperature),
    }
    return fit(Distiller(student, cached(teacher, data), losses), data, **complete(options, data, epochs=500))
