"""A teacher whose answers about one graph are computed once, in memory or on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import first_batch, on_device
from graphkd.core.by_name import Batch, Inputs, entry, names, node_types
from graphkd.core.digests import Digests, is_kept
from graphkd.core.identity import ModelMark
from graphkd.core.ids import IDS, ids_of, row_ids
from graphkd.core.lazy import give_shapes
from graphkd.core.loss import Loss
from graphkd.core.rng import seeded
from graphkd.core.store import Store
from graphkd.core.store_key import StoreKey, check_layers
from graphkd.core.store_writer import write
from graphkd.core.stored_graph import StoredGraph
from graphkd.core.teachers import Frozen
from graphkd.core.view import Call, View
from graphkd.core.wrappers import unwrapped

_TAP = "tap:"  # prefix of a hidden layer's path in the names of cached entries


class Cached(Frozen):
    """Frozen teacher whose view of one graph is computed once, with all that a loss derives from it alone.

    data: the whole graph, by default the first batch. A batch with ``n_id`` (PyG's neighbour samplers) gets the view's
    rows of these nodes, by node id and never by position; ids are those of ``data.n_id`` if present, else row numbers.
    The features of the first such batch, and a few rows of each later one, are compared with the graph's. With
    ``graph_id`` (B,) in ``data`` and in batches of graphs, a teacher that answers one row per graph is read by graph.
    Any other batch raises ValueError. The view is recomputed where the graph or the teacher (parameters, buffers, plain
    attributes) has changed, and always outside autocast. Random feature transforms go unnoticed and make the view
    wrong: use ``Frozen`` there.

    path: a folder for the view on disk (see ``Store``), written if missing, and memory-mapped: a batch with ``n_id``
    reads its rows only. ``data`` may then be a loader that goes through all nodes once, with ``n_id``, or through all
    graphs, with ``graph_id``; of a batch with ``batch_size`` only the seeds' rows are stored. Features of batches
    cannot be compared where the loader has no graph as its ``data``, or transforms its batches.
    dtype: float16, bfloat16 or float32 on disk, by default the teacher's own dtype, which the views have in any case.
    version: a text of yours, to be changed with ``call`` and with how a loader samples: neither is noticed otherwise.
    Raises ValueError where the store is damaged or was made by another teacher (class, state or a public plain
    attribute of a sub-module), from another graph (the entries that the teacher's ``forward`` reads; with ``call``, all
    of ``data``), with another ``version`` or ``dtype``, or without a requested layer. Opening a store reads the store,
    the graph and the teacher's state once: about a second per gigabyte. If several processes find no store, each writes
    one, and the first to finish is kept.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Batch | Iterable[Batch] | None = None,
        *,
        call: Call | None = None,
        path: str | Path | None = None,
        dtype: torch.dtype | None = None,
        version: str | None = None,
    ) -> None:
        super().__init__(model, call=call)
        if dtype not in (None, torch.float16, torch.bfloat16, torch.float32):
            raise ValueError(f"'dtype' must be torch.float16, torch.bfloat16 or torch.float32, got {dtype}")
        if not isinstance(version, (str, type(None))):
            raise TypeError(f"'version' must be a text that names what 'call' does, got {type(version).__name__}")
        options = {"dtype": dtype, "version": version}
        only = [f"{name}={value}" for name, value in options.items() if value is not None]
        only += [f"a {type(data).__name__} as 'data'"] if data is not None and names(data) is None else []
        if path is None and only:
            raise ValueError(f"{only[0]} is for a store on disk: give 'path', got None")
        self.data: Any = data
        self.path = None if path is None else Path(path)
        self.dtype, self.version = dtype, version
        self._layers: list[str] = []  # paths of the registered and the requested ones
        self._forget()

    def attach(self, taps: Mapping[str, str]) -> None:
        """Register hidden layers, which are then computed and stored with the rest; further calls add to them."""
        super().attach(taps)
        self._layers += [path for path in taps.values() if path not in self._layers]

    def part_from(self, student: nn.Module) -> None:
        """Copy the model where training the student would change it, see ``apart``; subclasses do nothing."""
        if type(self) is Cached:
            self._copy_shared(student)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _KEPT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._layers = list(self._layers)
        self._forget()

    def _forget(self) -> None:
        self._view: dict[str, Tensor] = {}
        self._store: Store | None = None
        self._graph: StoredGraph | None = None
        self._mark: ModelMark | None = None  # of the model that computed the view
        self._digests = Digests()

    def __call__(self, batch: Batch, taps: Mapping[str, str] | None = None) -> View:
        """Return the stored view, or its rows by ``n_id`` or ``graph_id``."""
        ids = [name for name in IDS if entry(batch, name) is not None]
        _check_types(batch, ids)
        if self.data is None and ids:
            raise ValueError(f"a batch with {ids[0]!r} is a part of a graph: give the whole, Cached(model, data)")
        self.data = batch if self.data is None else self.data
        if taps and not set(taps.values()) <= set(self._layers):
            self.attach(taps)
        found = self._rows_of(batch, ids, list((taps or {}).values()))
        own = {name: rows for name, rows in found.items() if not name.startswith(_TAP)}
        return own | {name: found[_TAP + path] for name, path in (taps or {}).items()}

    def _rows_of(self, batch: Batch, ids: list[str], paths: list[str]) -> Mapping[str, Tensor]:
        """Return the stored rows of a batch, layers ``paths`` included."""
        graph = self._checked()
        name = self._ids() if ids else ""
        if name in ids and not (self._is_full(batch[name]) and graph.is_whole(batch)):
            return self._part(graph.rows(batch, name, self._count()), paths)
        if graph.is_whole(batch):
            return self._whole(paths)
        raise ValueError(
            f"the Cached teacher was computed on another batch than this one, which has {names(batch)}; {_NO_IDS}; "
            "for another graph, use Frozen"
        )

    def digest(self, loss: Loss, view: View, batch: Batch) -> Any:
        """Return what ``loss`` precomputes from this teacher's view; for the whole graph it is computed once."""
        if not is_kept(loss, view, self._view.values()):
            return super().digest(loss, view, batch)
        return self._digests(loss, view, batch, lambda: super(Cached, self).digest(loss, view, batch))

    # ------------------------------------------------------------------ the cached view
    def _checked(self) -> StoredGraph:
        """Return the graph of the computed view; forget everything where the graph or the teacher has changed."""
        changed = self._mark is not None and not self._mark.holds(self.model)
        if changed or (self._graph is not None and not self._graph.is_unchanged()):
            self._forget()
        if self._graph is None:
            self._graph = StoredGraph(self.data, self._wanted())
        return self._graph

    def _wanted(self) -> tuple[str, ...] | None:
        call, of_type = self.call, False
        while isinstance(call, partial) and getattr(call.func, "of_type", False):
            call, of_type = call.args[-1], True  # a task's, which calls the model by name and reads one type's rows
        if call is not None:
            return None
        inputs = Inputs(unwrapped(self.model).forward)
        found = (*inputs.required, *inputs.optional)
        return (*found, *(f"{name}_dict" for name in found)) if of_type else found

    def _whole(self, paths: Sequence[str] = ()) -> dict[str, Tensor]:
        """Return the view of all rows, in memory."""
        missing = [path for path in self._layers if _TAP + path not in self._view]
        if not self._view or (self.path is None and missing):
            with seeded(0):  # the run draws the same numbers afterwards, whenever this happens
                found = self._compute(self.data, missing) if self.path is None else self._opened(self.path).whole()
            for name, rows in found.items():
                self._view.setdefault(name, rows.to(self._device()))  # known tensors stay, and digests of them
            self._mark = ModelMark(self.model)
        if self.path is not None:
            check_layers(self._opened(self.path), [_TAP + path for path in paths])
        return self._view

    def _part(self, rows: Tensor, paths: Sequence[str]) -> dict[str, Tensor]:
        if self.path is None:
            return {name: tensor[rows.to(tensor.device)] for name, tensor in self._whole(paths).items()}
        store, wanted = self._opened(self.path), [_TAP + path for path in paths]
        check_layers(store, wanted)
        return store.rows(rows, [name for name in store.names if name in wanted or not name.startswith(_TAP)])

    def _ids(self) -> str:
        """Return the name of the ids by which parts of the graph are read."""
        return str(self._opened(self.path).key["rows"]) if self.path else ids_of(self._count(), self.data)

    def _count(self) -> int:
        """Count the cached rows."""
        if self.path is not None:
            return self._opened(self.path).count
        return min((rows.size(0) if rows.dim() else 0 for rows in self._whole().values()), default=0)

    def _is_full(self, ids: Any) -> bool:
        return isinstance(ids, Tensor) and ids.numel() == self._count()

    def _device(self) -> torch.device:
        held = chain(self.model.parameters(), self.model.buffers())
        return next((tensor.device for tensor in held), torch.device("cpu"))

    def _compute(self, batch: Any, paths: Sequence[str]) -> dict[str, Tensor]:
        device = self._device()
        with torch.autocast(device.type, enabled=False):
            return dict(super().__call__(on_device(batch, device), {_TAP + path: path for path in paths}))

    # ------------------------------------------------------------------ on disk
    def _opened(self, path: Path) -> Store:
        """Open the store at ``path``, after writing it if it is missing, and check that it is this teacher's."""
        if self._store is None:
            self._materialise()
            key = StoreKey(self.model, self.data, self._wanted(), self.version)
            if not path.exists() or (path.is_dir() and not any(path.iterdir())):
                with seeded(0):  # a loader draws: a run that writes the store must go on like one that finds it
                    write(path, self._parts(key), key.described, self.dtype)
            store = Store(path)
            key.check(store, self.dtype)
            self._store, self._mark = store, ModelMark(self.model)
        return self._store

    def _materialise(self) -> None:
        """Initialise the shapes of a model with lazy layers."""
        with seeded(0):  # all processes must get the same weights
            give_shapes(self.model, lambda: self._compute(first_batch(self.data), []))

    def _parts(self, key: StoreKey) -> Iterator[tuple[Tensor | None, View]]:
        """Yield the parts of which a store is written: the graph's view, or row ids and views of a loader's batches."""
        whole = names(self.data) is not None
        for batch in [self.data] if whole else self.data:
            view = self._compute(batch, self._layers)
            key.note(view, batch)
            yield (None, view) if whole else _stored(batch, view, key.rows)


_KEPT = ("_view", "_store", "_graph", "_mark", "_digests")


_NO_IDS = (
    "for a part of a graph, give the batch its node ids as 'n_id' (data.n_id = torch.arange(data.num_nodes) before the "
    "loader is made), for answers a row a graph its 'graph_id'"
)


def _check_types(batch: Any, ids: list[str]) -> None:
    if ids and node_types(batch):
        raise ValueError(
            f"a Cached teacher reads no parts of heterogeneous data, whose {ids[0]!r} is of each node type: use Frozen"
        )


def _stored(batch: Any, view: View, name: str) -> tuple[Tensor, View]:
    """Return row ids and rows of a loader's batch that are to be stored; of a sampled batch, those of its seeds."""
    if name not in batch:
        raise ValueError(f"a store needs to know whose rows a batch has, which has {names(batch)}; {_NO_IDS}")
    ids = row_ids(batch, name)
    if name == "n_id" and "edge_label_index" in batch and "input_id" in batch:
        raise ValueError(
            "a store needs every node once, the batches of a LinkNeighborLoader share nodes: fill it from a "
            "NeighborLoader over all nodes, NeighborLoader(data, input_nodes=None, ...), or from the whole graph"
        )
    for shown, rows in view.items():
        if rows.dim() == 0 or rows.size(0) != ids.size(0):
            raise ValueError(
                f"to be stored by row, the teacher's {shown!r} must have a row for each of the {ids.size(0)} {name!r} "
                f"of a batch, got {tuple(rows.shape)}"
            )
    kept = slice(int(batch["batch_size"]) if name == "n_id" and "batch_size" in batch else None)
    return ids[kept], {shown: rows[kept] for shown, rows in view.items()}
