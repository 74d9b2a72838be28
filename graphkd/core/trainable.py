"""What ``fit`` trains, where it holds teachers and taps besides its own parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, TypeVar

from torch import Tensor, nn

from graphkd.core.teachers import Frozen
from graphkd.core.view import Viewer

_Held = TypeVar("_Held", bound=Frozen | Viewer)


class Trainable(nn.Module):
    """A module whose ``forward(batch)`` gives a ``Step``; it moves the teachers that it holds, and closes all taps.

    Held teachers and viewers are in nobody's ``parameters()`` or ``state_dict()``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held: list[Frozen | Viewer] = []

    def hold(self, held: _Held) -> _Held:
        """Keep a teacher or a viewer, and give it back."""
        self._held.append(held)
        return held

    def close(self) -> None:
        """Remove all taps; the models are as they came."""
        for each in self._held:
            each.close()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for each in self._held:
            if isinstance(each, Frozen):
                each.apply_to_tensors(fn)
        return self
