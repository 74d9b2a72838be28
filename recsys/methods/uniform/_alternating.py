"""KDCRec's alternating schedule: a model's user side and item side are trained in turn."""

from __future__ import annotations

from typing import Any

from torch import nn

from graphkd.core.distiller import Distiller, Step
from graphkd.losses._checks import choose
from recsys.models.ratings import Side


class Alternating(nn.Module):
    """Train one side of a distiller's student in most epochs and the other between them ("alter").

    ``passes`` epochs on the side ``first``, then one on the other, and so on. The authors take 3 passes, over the
    decoder for autoencoders (``first="item"``), over users for factorisations. Parameters of the resting side have no
    gradient, so that Adam leaves them and their moments unchanged. For a single process.
    """

    def __init__(self, distiller: Distiller, first: Side, passes: int = 3) -> None:
        super().__init__()
        choose("first", first, ("user", "item"))
        if passes < 1:
            raise ValueError(f"'passes' must be at least 1, got {passes}")
        self.distiller, self.first, self.passes = distiller, first, passes
        self.student, self.at_first = distiller.student, True

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Choose the side to train."""
        self.distiller.set_epoch(epoch, epochs)
        self.at_first = epoch % (self.passes + 1) < self.passes

    def forward(self, batch: Any) -> Step:
        """Run the distiller, with gradients for the chosen side only."""
        sides = self.student.sides()  # type: ignore[operator]
        modules = [module for side in sides for module in sides[side] if (side == self.first) != self.at_first]
        resting = [p for module in modules for p in module.parameters() if p.requires_grad]
        for parameter in resting:
            parameter.requires_grad_(False)
        try:
            return self.distiller(batch)
        finally:
            for parameter in resting:
                parameter.requires_grad_(True)
