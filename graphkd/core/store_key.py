"""Key of a store: what its view was made from, so that another teacher, graph or way of calling is noticed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from graphkd.core.by_name import Batch
from graphkd.core.fingerprint import attributes_of, graph_fingerprint, state_fingerprint
from graphkd.core.ids import ids_of
from graphkd.core.store import Store
from graphkd.core.view import View


class StoreKey:
    """Key of a teacher and a graph as they are now.

    described: the key as it is written beside the view, complete once ``note`` has recorded all parts of the view.
    """

    def __init__(self, model: nn.Module, data: Any, wanted: Sequence[str] | None, version: str | None) -> None:
        self._model = model
        self.described: dict[str, Any] = {
            "teacher": state_fingerprint(model),
            "settings": attributes_of(model),
            "moving": [],  # attributes that change as the model runs: counters, caches
            "called": "by 'call'" if wanted is None else "by name",
            "graph": graph_fingerprint(data, wanted),
            "version": version,
            "rows": None,  # the name of their ids
        }

    @property
    def rows(self) -> str:
        """Return the name of the ids of rows, known once a part is recorded."""
        return str(self.described["rows"])

    def note(self, view: View, batch: Batch) -> None:
        """Record the ids of a part of the view, and the attributes that have changed in the model."""
        if self.described["rows"] is None:
            count = next((rows.size(0) for rows in view.values() if rows.dim()), 0)
            self.described["rows"] = ids_of(count, batch)
        before, now = self.described["settings"], attributes_of(self._model)
        moving = {name for name in (*before, *now) if before.get(name) != now.get(name)}
        self.described["moving"] = sorted({*self.described["moving"], *moving})
        self.described["settings"] = {name: text for name, text in before.items() if name not in moving}

    def check(self, store: Store, dtype: torch.dtype | None) -> None:
        """Raise ValueError that says how a store's key differs from this one."""
        known, now = store.key, self.described
        wrong = {
            "by a teacher of other classes or another state": known["teacher"] != now["teacher"],
            **{f"by a teacher with {text}": True for text in _other_settings(known, now["settings"])},
            f"by a teacher that was called {known['called']}, not {now['called']}": known["called"] != now["called"],
            "from another graph": known["graph"] != now["graph"],
            f"with version {known['version']!r}, not {now['version']!r}": known["version"] != now["version"],
            f"with another dtype than {dtype}": dtype is not None and store.stored_dtypes() - {dtype},
        }
        found = [reason for reason, is_so in wrong.items() if is_so]
        if found:
            raise ValueError(f"the store at {str(store.path)!r} was made {' and '.join(found)}; {_ANEW}")


_ANEW = "remove the folder and it is made anew, or give another 'path'"


def check_layers(store: Store, wanted: Sequence[str]) -> None:
    """Raise ValueError where a store was made without a requested layer."""
    missing = [name for name in wanted if name not in store.names]
    if missing:
        layers = [name.partition(":")[2] for name in missing]
        raise ValueError(f"the store at {str(store.path)!r} was made without the layers {layers}; {_ANEW}")


def _other_settings(known: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    """List differing settings in words, except those that change as the model runs."""
    before = known["settings"]
    names = sorted({*before, *now} - set(known["moving"]))
    return [f"{name} {before.get(name)}, not {now.get(name)}" for name in names if before.get(name) != now.get(name)]
