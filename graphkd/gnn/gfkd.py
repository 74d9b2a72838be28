"""GFKD: a student learns from graphs that were made from its teacher alone.

Deng and Zhang, "Graph-Free Knowledge Distillation for Graph Neural Networks", IJCAI 2021, arXiv:2105.07519.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.teachers import Frozen
from graphkd.gnn.gfkd_inversion import EpochRates, FakeGraphs
from graphkd.losses import KL


def gfkd(
    student: nn.Module,
    teacher: nn.Module | Frozen,
    graphs: FakeGraphs | Sequence[Data],
    *,
    temperature: float = 2.0,
    batch_size: int = 32,
    **options: Any,
) -> nn.Module:
    """Train a graph classifier on fake graphs, with T^2 KL(teacher || student), a mean over graphs, and no labels.

    ``gfkd(student, teacher, invert(teacher, width, classes))`` needs no real graph; ``invert`` makes the graphs by
    gradient descent through a teacher with BatchNorm. Both models: logits (B, C), ``forward`` filled by name from
    ``x``, ``edge_index``, ``batch``. options go to ``fit``; defaults: 300 epochs, Adam(0.01) with a linear decay to 0.

    The authors' code differs in this: it saves the edges of the epoch with the least loss and the features of the last
    one, and gives saved graphs self loops only where a node has neighbours; here both are of the last epoch (or of
    ``metric``'s best) and self loops stay. It reports the student's best epoch on the test set. In its feature step,
    as here, edges are thresholded, not drawn. Its entropy has log(0) where a softmax saturates. Its script weighs the
    entropy by 1e-6, its command line by 0.01, our default; both weights want tuning for another teacher.
    """
    data = graphs.graphs() if isinstance(graphs, FakeGraphs) else list(graphs)
    optimizer = EpochRates(options.pop("optimizer", partial(torch.optim.Adam, lr=0.01)), _falling)
    task = _Decaying(student, teacher, KL(temperature))
    task.rates = optimizer
    loader = DataLoader(data, batch_size=batch_size, shuffle=True)
    return fit(task, loader, optimizer=optimizer, **{"epochs": 300, **options})


class _Decaying(Distiller):
    """A distiller that tells its learning rates how far training is."""

    rates: EpochRates

    def set_epoch(self, epoch: int, epochs: int) -> None:
        super().set_epoch(epoch, epochs)
        self.rates.set_epoch(epoch, epochs)


def _falling(epoch: int, epochs: int) -> float:
    return 1 - epoch / epochs
