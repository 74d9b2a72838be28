"""Teachers whose view was computed beforehand and stands in the batch."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, View, fill


class Recorded(Frozen):
    """A teacher whose view stands in the batch: entry of the view -> name in the batch, ``logits="told"``."""

    def __init__(self, **entries: str) -> None:
        super().__init__(nn.Identity())
        self.entries = entries

    def attach(self, taps: Mapping[str, str]) -> None:
        """Do nothing: hidden layers are recorded too."""

    def __call__(self, batch: Batch) -> View:
        """Show what the batch holds."""
        found = fill(self.entries.values(), batch, "a recorded teacher")
        return {entry: found[name] for entry, name in self.entries.items()}
