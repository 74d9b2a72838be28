"""Contrastive pretraining of clients without labels: views of one row become alike, of different rows unlike."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, Viewer
from graphkd.losses.information.info_nce import info_nce
from graphkd.schemes.augment import drop_edges_and_features

_ROWS = 512  # per step; the number of pairs is its square


class Contrast(Trainable):
    """Learn features by telling rows apart, as SimCLR does. Chen et al., ICML 2020, arXiv:2002.05709.

    Each view masks columns of ``x`` and drops edges at ``rate``; the loss is ``info_nce`` in both directions, on 512
    rows drawn per step. path: of the hidden layer that is contrasted, None for the answers, whose layer is then
    SimCLR's projection head. Sparse features tolerate a higher ``rate`` than dense ones.
    """

    def __init__(
        self, student: nn.Module, call: Call | None, path: str | None, rate: float = 0.2, temperature: float = 0.5
    ) -> None:
        super().__init__()
        self.student, self.entry, self.temperature = student, "logits" if path is None else "hidden", temperature
        self._changed = partial(drop_edges_and_features, rate=rate)
        self._viewer = self.hold(Viewer(student, taps={} if path is None else {"hidden": path}, call=call))

    def forward(self, batch: Batch) -> Step:
        """Compute the loss of two views of a batch."""
        one, other = (self._viewer(self._changed(batch))[self.entry] for _ in range(2))
        rows = torch.randperm(one.size(0), device=one.device)[:_ROWS]
        loss = (self._told(one[rows], other[rows]) + self._told(other[rows], one[rows])) / 2
        return Step(loss, {"contrast": loss.detach()})

    def _told(self, one: Tensor, other: Tensor) -> Tensor:
        return info_nce(one, other, self.temperature)
