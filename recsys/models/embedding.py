"""Tables of embeddings that can be redrawn, so that a model can be reinitialised."""

from __future__ import annotations

from torch import nn


class Embedding(nn.Embedding):
    """A table drawn from N(0, std²) by the global generator, also by ``reset_parameters``; zeros where std is 0."""

    std = 1.0  # while the base draws, as ``nn.Embedding`` does

    def __init__(self, rows: int, width: int, std: float) -> None:
        super().__init__(rows, width)
        self.std = std

    def reset_parameters(self) -> None:
        """Redraw the table."""
        if self.std:
            nn.init.normal_(self.weight, std=self.std)
        else:
            nn.init.zeros_(self.weight)
