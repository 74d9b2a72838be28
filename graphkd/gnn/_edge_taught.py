"""Distillers whose soft targets come along edges, which are drawn at every step."""

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

    A subclass says which ``targets`` the edges of a batch have now. All rows of a batch are taught, a sampled one's
    neighbours too.
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
        """Compute targets of edges, without gradients: batch, teacher's logits (N, C), edges (2, E) but loops."""

    def forward(self, batch: Batch) -> Step:
        """Compute targets from the student as it is before the step, and the loss of its answer to them."""
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
        """The student's logits in eval mode, (N, C)."""
        with evaluating(self.student):
            return self._viewer(batch)["logits"].detach()

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Note how far training is."""
        super().set_epoch(epoch, epochs)
        self.epoch, self.epochs = epoch, epochs
