"""Modules for ``fit`` that have teachers and viewers besides their own parts."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from torch import Tensor, nn

from graphkd.core.hyperparameters import check_call
from graphkd.core.teachers import Frozen
from graphkd.core.view import Viewer

_Held = TypeVar("_Held", bound=Frozen | Viewer)


class Trainable(nn.Module):
    """Module whose ``forward(batch)`` returns a ``Step``; ``.to()`` moves its registered teachers too.

    Teachers and viewers registered by ``hold`` are not in ``parameters()`` or ``state_dict()``. Numbers given to the
    constructor must be finite, else ValueError.
    """

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        """Check the constructor's numbers."""
        check_call(cls.__init__, None, *arguments, **named)
        return super().__new__(cls)

    def __init__(self) -> None:
        super().__init__()
        self._held: list[Frozen | Viewer] = []
        self._noted: dict[str, Tensor] | None = None  # weighted terms of a step, while recording

    def hold(self, held: _Held) -> _Held:
        """Register a teacher or a viewer, and return it."""
        self._held.append(held)
        return held

    def note(self, parts: Mapping[str, Tensor]) -> None:
        """Record a step's weighted terms, if requested, so that ``Shares`` can differentiate them one by one."""
        if self._noted is not None:
            self._noted.update(parts)

    def weighed(self, terms: Mapping[str, tuple[float | Tensor, Tensor]]) -> Tensor:
        """Sum terms, name -> (weight, value), and ``note`` each; at least one."""
        parts = [weight * value for weight, value in terms.values()]
        self.note(dict(zip(terms, parts, strict=True)))
        return functools.reduce(operator.add, parts)

    def ask_parts(self) -> None:
        """Start to record the weighted terms of the next step."""
        self._noted = {}

    def take_parts(self) -> dict[str, Tensor]:
        """Return the recorded terms, and stop recording."""
        noted, self._noted = self._noted, None
        return noted or {}

    def close(self) -> None:
        """Do nothing: hooks are on models only while these are called."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for each in self._held:
            if isinstance(each, Frozen):
                each.apply_to_tensors(fn)
        return self
