"""GLNN: a graph neural network teaches an MLP that never sees the graph.

Zhang, Liu, Sun and Shah, "Graph-less Neural Networks: Teaching Old MLPs New Tricks via Distillation", ICLR 2022,
arXiv:2110.08727.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.teachers import Frozen, cached
from graphkd.gnn.options import complete
from graphkd.losses import CE, KL


def glnn(
    student: nn.Module,
    teacher: nn.Module | Frozen,
    data: Data,
    *,
    label_weight: float = 0.0,
    batch_size: int = 512,
    **options: Any,
) -> nn.Module:
    """Train a feature-only student on soft labels: lambda CE(labelled) + (1 - lambda) KL(teacher || student).

    student: ``forward(x)``; teacher: any node classifier, or a teacher; data: x (N, F), y (N,), train_mask, and
    val_mask if the best epoch is to be kept. All nodes of ``data`` are taught: give the whole graph for the
    transductive setting, ``hold_out(data)``'s observed part for the inductive one. label_weight is lambda, 0 by
    default as published. options go to ``fit``; defaults: 200 epochs, patience 50, Adam(0.01, weight decay 5e-4).
    As in the authors' code the two terms are never added: an epoch takes steps on labelled rows, scaled by lambda,
    then steps on all rows, scaled by 1 - lambda; with lambda 0 the former still apply Adam's momentum and decay.
    """
    if not 0 <= label_weight <= 1:
        raise ValueError(f"'label_weight' must be in [0, 1], got {label_weight}")
    batches = GLNNBatches(data["x"], data["y"], data["train_mask"].nonzero().squeeze(1), batch_size)
    task = glnn_distiller(student, cached(teacher, data), label_weight)
    return fit(task, batches, **complete(options, data, epochs=200))


def glnn_distiller(student: nn.Module, teacher: Frozen, label_weight: float = 0.0) -> Distiller:
    """The distiller of ``glnn``: terms ``label`` and ``teacher``, each on the rows that ``GLNNBatches`` marks."""
    losses = {"label": label_weight * CE(where="labelled"), "teacher": (1 - label_weight) * KL(where="taught")}
    return Distiller(student, teacher, losses)


class GLNNBatches:
    """The authors' epoch: shuffled batches of labelled rows, then of all rows; a last partial batch is left out.

    x: (N, F), y: (N,), labelled: row ids; batches hold x, y, ``n_id`` and the masks ``labelled`` and ``taught``.
    Fewer rows than ``batch_size`` make one batch.
    """

    def __init__(self, x: Tensor, y: Tensor, labelled: Tensor, batch_size: int = 512) -> None:
        if batch_size < 1:
            raise ValueError(f"'batch_size' must be at least 1, got {batch_size}")
        self.x, self.y, self.labelled, self.batch_size = x, y, labelled, batch_size

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        yield from self._shuffled(self.labelled, is_labelled=True)
        yield from self._shuffled(torch.arange(self.x.size(0), device=self.x.device), is_labelled=False)

    def order(self, count: int) -> Tensor:
        """The permutation of the next pass, from torch's global generator."""
        return torch.randperm(count)

    def _shuffled(self, rows: Tensor, *, is_labelled: bool) -> Iterator[dict[str, Tensor]]:
        order = self.order(rows.size(0)).to(rows.device)
        whole = rows[order[: max(rows.size(0) // self.batch_size, 1) * self.batch_size]]
        for n_id in whole.split(self.batch_size):
            mask = torch.full(n_id.shape, is_labelled, device=n_id.device)
            yield {"x": self.x[n_id], "y": self.y[n_id], "n_id": n_id, "labelled": mask, "taught": ~mask}
