"""A model at successive stages of its training: HetComp's teachers, from easy to hard."""

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
        """Return the number of epochs."""
        return self.epochs

    def set_extra_state(self, state: int) -> None:
        """Restore the number of epochs."""
        self.epochs = state


class Trajectory(nn.Module):
    """Train a distiller's student, and save its states after 1, 2, 4, 8 ... epochs.

    The states are part of this module's state, so that they survive a resumed run. ``student`` is a ``Counted`` model:
    after the best epoch is restored, its number of epochs tells which one that was.
    """

    def __init__(self, distiller: Distiller) -> None:
        super().__init__()
        self.distiller, self.student = distiller, Counted(distiller.student)
        self.states: dict[int, dict[str, Tensor]] = {}

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Save the state after ``epoch`` epochs if that is a power of two."""
        self.distiller.set_epoch(epoch, epochs)
        self.student.epochs = epoch + 1  # epochs done when the model is next measured
        if epoch and epoch & (epoch - 1) == 0:
            self.states[epoch] = {name: value.clone() for name, value in self.student.model.state_dict().items()}

    def forward(self, batch: Any) -> Step:
        """Run the distiller."""
        step: Step = self.distiller(batch)
        return step

    def stages(self, count: int) -> list[nn.Module]:
        """Return the last ``count`` stages up to the chosen epoch, easiest first: copies, then the model itself."""
        chosen = self.student.epochs
        early = [state for epoch, state in sorted(self.states.items()) if epoch < chosen]
        copies = [_with_state(self.student.model, state) for state in early[len(early) - min(count - 1, len(early)) :]]
        return [*copies, self.student.model]

    def get_extra_state(self) -> dict[int, dict[str, Tensor]]:
        """Return the saved states."""
        return self.states

    def set_extra_state(self, state: dict[int, dict[str, Tensor]]) -> None:
        """Restore the saved states."""
        self.states = dict(state)


def _with_state(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    stage = copy.deepcopy(model)
    stage.load_state_dict(state)
    return stage.eval()
