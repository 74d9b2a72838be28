"""A model at successive stages of its training: the easy-to-hard teachers of HetComp."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from graphkd.core.distiller import Distiller, Step


class Counted(nn.Module):
    """A model whose state includes the number of epochs it was trained for."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.epochs = model, 0

    def get_extra_state(self) -> int:
        """The number of epochs."""
        return self.epochs

    def set_extra_state(self, state: int) -> None:
        """Put the number of epochs back."""
        self.epochs = state


class Trajectory(nn.Module):
    """Train a distiller's student, and keep its states after 1, 2, 4, 8 ... epochs.

    The states are part of this module's own, so that a run goes on with them. ``student`` is a ``Counted`` model: once
    the best epoch is restored, it says which that was.
    """

    def __init__(self, distiller: Distiller) -> None:
        super().__init__()
        self.distiller, self.student = distiller, Counted(distiller.student)
        self.states: dict[int, dict[str, Tensor]] = {}

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Keep the state where ``epoch`` epochs, a power of two, are done."""
        self.distiller.set_epoch(epoch, epochs)
        self.student.epochs = epoch + 1  # when the model is measured next
        if epoch and epoch & (epoch - 1) == 0:
            self.states[epoch] = {name: value.clone() for name, value in self.student.model.state_dict().items()}

    def forward(self, batch: Any) -> Step:
        """Run the distiller."""
        step: Step = self.distiller(batch)
        return step

    def stages(self, count: int) -> list[nn.Module]:
        """The last ``count`` stages up to the chosen epoch, easiest first: copies of the model, then itself."""
        chosen = self.student.epochs
        early = [state for epoch, state in sorted(self.states.items()) if epoch < chosen]
        copies = [_with_state(self.student.model, state) for state in early[len(early) - min(count - 1, len(early)) :]]
        return [*copies, self.student.model]

    def get_extra_state(self) -> dict[int, dict[str, Tensor]]:
        """The kept states."""
        return self.states

    def set_extra_state(self, state: dict[int, dict[str, Tensor]]) -> None:
        """Put them back."""
        self.states = dict(state)


def _with_state(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    stage = copy.deepcopy(model)
    stage.load_state_dict(state)
    return stage.eval()
