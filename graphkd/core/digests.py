"""Teacher precomputation of losses, cached for as long as nothing that it was computed from has changed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor

from graphkd.core.by_name import Batch
from graphkd.core.identity import Mark, same_content
from graphkd.core.loss import Loss
from graphkd.core.view import View


class Digests:
    """Teacher precomputation by loss, each of one view and the batch inputs that the loss read; see ``Loss.reads``."""

    def __init__(self) -> None:
        self._kept: weakref.WeakKeyDictionary[Loss, _Kept] = weakref.WeakKeyDictionary()

    def __call__(self, loss: Loss, view: View, batch: Batch, compute: Callable[[], Any]) -> Any:
        """Return the precomputation of a loss, repeated where the view or a batch input was replaced or written to."""
        entries, inputs, kept = _read(loss, view), loss.reads(batch), self._kept.get(loss)
        if kept is None or not kept.is_of(entries, inputs):
            kept = self._kept[loss] = _Kept(entries, inputs, compute())
        return kept.digest

    def clear(self) -> None:
        """Remove all cached values."""
        self._kept.clear()

    def __deepcopy__(self, memo: dict) -> Digests:
        return Digests()

    def __reduce__(self) -> tuple:
        return Digests, ()


def is_kept(loss: Loss, view: View, kept: Iterable[Tensor]) -> bool:
    """Tell whether all that a loss reads of a view is among the tensors that a teacher caches."""
    known, read = {id(tensor) for tensor in kept}, _read(loss, view)
    return bool(read) and all(id(tensor) in known for tensor in read)


def _read(loss: Loss, view: View) -> list[Tensor]:
    """Return the entries of a view that a loss reads; none where one is missing."""
    on = (loss.on,) if isinstance(loss.on, str) else loss.on
    return [view[name] for name in on] if all(name in view for name in on) else []


class _Kept:
    def __init__(self, entries: list[Tensor], inputs: list[Tensor], digest: Any) -> None:
        self.entries, self.digest = entries, digest
        self._note(inputs)

    def is_of(self, entries: list[Tensor], inputs: list[Tensor]) -> bool:
        """Tell whether the value is of this view and these batch inputs; equal copies count as the same inputs."""
        if len(entries) != len(self.entries) or any(a is not b for a, b in zip(entries, self.entries, strict=True)):
            return False
        if len(inputs) != len(self.inputs):
            return False
        seen = [mark.holds(fact) for mark, fact in zip(self.marks, inputs, strict=True)]
        if all(seen):
            return True
        for old, mark, fact, is_old in zip(self.inputs, self.marks, inputs, seen, strict=True):
            if not is_old and not (mark.holds(old) and same_content(old, fact)):
                return False
        self._note(inputs)
        return True

    def _note(self, inputs: list[Tensor]) -> None:
        self.inputs, self.marks = inputs, [Mark(fact) for fact in inputs]
