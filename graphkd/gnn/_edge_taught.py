"""Distillers whose soft targets are answers of neighbours, along edges that are drawn at every step."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from graphkd.core.adjacency import edge_index_of
from graphkd.core.by_name import fill
from graphkd.core.distiller import Distiller, Step
from graphkd.core.loss import Loss
from graphkd.core.modes import evaluating
from graphkd.core.teachers import Frozen, ask
from graphkd.core.view import Batch, Call
from graphkd.gnn.glnn import check_label_weight
from graphkd.losses._checks import check_positive
from graphkd.losses.graphs.neighbour_kl import EdgeTargets, neighbour_kl


class EdgeTaught(Distiller):
    """label_weight label + (1 - label_weight) (1/E) sum over edges of KL(target || student); terms ``label``, ``soft``.

    A subclass computes the ``targets`` of a batch's edges at each step. All rows of a batch have targets, in a sampled
    batch the neighbours too.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: Frozen,
        label: Loss,
        *,
        label_weight: float,
        temperature: float,
        call: Call | None = None,
    ) -> None:
        check_label_weight(label_weight)
        super().__init__(student, teacher, {"label": label}, call=call)
        self.label_weight, self.temperature = label_weight, check_positive("temperature", temperature)
        self.epoch, self.epochs = 0, 1

    @abstractmethod
    def targets(self, batch: Batch, taught: Tensor, edge_index: Tensor) -> EdgeTargets:
        """Compute targets of edges, without gradients, from the teacher's logits (N, C) and loop-free edges (2, E)."""

    def forward(self, batch: Batch) -> Step:
        """Compute targets with the student before its step, then the student's loss against them."""
        assert self.teacher is not None
        taught = ask(self.teacher, batch)["logits"]
        edge_index = edge_index_of(fill(("edge_index",), batch, type(self).__name__)["edge_index"])
        with torch.no_grad():
            targets = self.targets(batch, taught, edge_index[:, edge_index[0] != edge_index[1]])
        view = self._viewer(batch)
        weighed = {"soft": (1 - self.label_weight, neighbour_kl(view["logits"], targets, self.temperature))}
        loss = self.losses[0]
        assert isinstance(loss, Loss)
        label = loss.measure(view, None, batch)
        if label is not None:
            weighed["label"] = (self.label_weight, label)
        return Step(self.weighed(weighed), {name: value.detach() for name, (_, value) in weighed.items()})

    def answers(self, batch: Batch) -> Tensor:
        """Compute the student's logits in eval mode, (N, C)."""
        with evaluating(self.student):
            return self._viewer(batch)["logits"].detach()

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Record the current epoch and the number of epochs."""
        super().set_epoch(epoch, epochs)
        self.epoch, self.epochs = epoch, epochs
