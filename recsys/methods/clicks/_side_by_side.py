"""Several teachers whose outputs stand side by side."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from graphkd.core.ensemble import Ensemble
from graphkd.core.teachers import ask
from graphkd.core.view import Batch, View


class SideBySide(Ensemble):
    """Several teachers as one: ``logits`` (N, M) of all; hidden layers and other entries are the first one's."""

    def attach(self, taps: Mapping[str, str]) -> None:
        """Register hidden layers of the first teacher."""
        self.members[0].attach(taps)

    @torch.no_grad()
    def __call__(self, batch: Batch, taps: Mapping[str, str] | None = None) -> View:
        """Return the outputs of all teachers for a batch."""
        first, *others = self.members
        views = [ask(first, batch, taps), *(member(batch) for member in others)]
        return {**views[0], "logits": torch.stack([view["logits"] for view in views], dim=1)}
