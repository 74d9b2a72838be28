"""Sources of the lists of training batches, and batches that have such sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor

from recsys.data.lists import Lists


class Source(Protocol):
    """Source of a method's lists.

    A source may also have ``set_epoch(epoch, epochs)``, and ``state_dict`` and ``load_state_dict`` where its draws
    serve for more than one epoch.
    """

    def resample(self) -> None:
        """Draw the lists anew; called at the beginning of every epoch."""

    def lists(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return entries for a batch, by name: ``Lists`` to be scored, or tensors that a loss reads from the batch."""


class WithSources:
    """Manage the ``sources`` of batches, by name: their epochs, their entries with distinct names, and their state."""

    sources: dict[str, Source]

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Give the sources the number of the epoch and of all epochs."""
        for source in self.sources.values():
            tell = getattr(source, "set_epoch", None)
            if tell is not None:
                tell(epoch, epochs)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the sources that draw for more than one epoch."""
        return {key: source.state_dict() for key, source in self.sources.items() if hasattr(source, "state_dict")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of the sources from an interrupted run."""
        for key, kept in state.items():
            if key not in self.sources:
                raise ValueError(f"'sources' must have {key!r}, as the run that is resumed, got {sorted(self.sources)}")
            self.sources[key].load_state_dict(kept)  # type: ignore[attr-defined]

    def _entries(self, asked: Mapping[str, Any], taken: Mapping[str, Any]) -> Iterator[tuple[str, Lists | Tensor]]:
        """Yield the sources' entries of a batch, by name; ValueError for a name that is in use already."""
        names = set(taken)
        for key, source in self.sources.items():
            entries = source.lists(asked)
            again = sorted(names & set(entries))
            if again:
                raise ValueError(
                    f"source {key!r} gives {again}, which the batch already has: give its lists other names"
                )
            names |= set(entries)
            yield from entries.items()
