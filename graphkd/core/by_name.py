"""Arguments filled from a batch by name, in the same way for models, losses and rules that combine answers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

# Entries that a model gets only where its parameter has no default: labels, splits, a sampler's number of seeds.
_NOT_INPUTS = re.compile(
    r"y|labels?|targets?|edge_label|batch_size|.*_mask"
    r"|(train|val|valid|test)_(idx|index|indices|ids?|nodes|rows)|(idx|index)_(train|val|valid|test)|split(_idx)?"
)

_MISSING = object()


@runtime_checkable
class Batch(Protocol):
    """Anything with ``batch["x"]`` and ``"x" in batch``: a dict, PyG ``Data``, RecBole ``Interaction``."""

    def __getitem__(self, name: str) -> Any: ...

    def __contains__(self, name: object) -> bool: ...


def names(batch: Any) -> list[str] | None:
    """Return the names of a batch's entries, or None where ``batch`` is not a batch (but a list or a loader, say)."""
    if isinstance(batch, Mapping) or callable(getattr(batch, "keys", None)):
        return [str(name) for name in batch.keys()]  # noqa: SIM118 - iterating PyG Data gives pairs
    columns = getattr(batch, "columns", None)  # RecBole's Interaction
    return None if columns is None else [str(name) for name in columns]


def node_types(batch: Any) -> list[str]:
    """Return the node types of PyG's ``HeteroData``; none for any other batch."""
    return list(batch.node_types) if _knows(type(batch), "node_types") else []


_MAPPINGS: dict[type, bool] = {}  # kinds of batches, and whether they are mappings
_COMPUTED: dict[tuple[type, str], bool] = {}  # (kind of batch, name) -> whether the kind computes that value


def _is_mapping(kind: type) -> bool:
    if kind not in _MAPPINGS:
        _MAPPINGS[kind] = issubclass(kind, Mapping)
    return _MAPPINGS[kind]


def _knows(kind: type, name: str) -> bool:
    if (kind, name) not in _COMPUTED:
        _COMPUTED[kind, name] = isinstance(inspect.getattr_static(kind, name, None), property)
    return _COMPUTED[kind, name]


def lookup(batch: Batch, wanted: Iterable[str]) -> dict[str, Any]:
    """Return those of the wanted entries that a batch has.

    In ``HeteroData`` these are the entries at the top level, and ``x_dict`` where some node type has ``x``. Values that
    PyG computes without storing them are found too: ``num_nodes``, and the number of graphs in a batch, as
    ``num_graphs`` or ``batch_size``. A missing ``edge_index`` is replaced by ``adj_t``, PyG's other form of edges.
    """
    of_types = bool(node_types(batch))
    found = {}
    for name in wanted:
        value = _of_types(batch, name) if of_types else entry(batch, name, _MISSING)
        if value is _MISSING and name == "edge_index":
            value = entry(batch, "adj_t", _MISSING)
        if value is _MISSING:
            value = _computed(batch, name)
        if value is not _MISSING:
            found[name] = value
    return found


def entry(batch: Any, name: str, default: Any = None) -> Any:
    """Return one entry of a batch, or the default; PyG's ``in`` would list all entries first."""
    store: Any = batch if _is_mapping(type(batch)) else getattr(batch, "_store", None)
    if _is_mapping(type(store)):
        return store.get(name, default)
    if name not in batch:
        return default
    return batch[name]


def _of_types(batch: Any, name: str) -> Any:
    if name in batch._global_store:
        return batch._global_store[name]
    if name.endswith("_dict"):
        return batch.collect(name.removesuffix("_dict"), allow_empty=True) or _MISSING
    return _MISSING


def _computed(batch: Any, name: str) -> Any:
    """Return a value that a PyG batch computes without storing it, such as ``num_nodes``."""
    if name not in ("num_nodes", "num_graphs", "batch_size"):
        return _MISSING
    stored = "num_graphs" if name == "batch_size" else name
    value = getattr(batch, stored, None) if _knows(type(batch), stored) else entry(batch, stored)
    return _MISSING if value is None else value


def fill(wanted: Iterable[str], batch: Batch, asker: str, remedy: str = "") -> dict[str, Any]:
    """Look the wanted names up in a batch; ``asker`` and ``remedy`` are for the error.

    Raises KeyError where one is missing, with the names that the batch has; ValueError where only node types have it.
    """
    wanted = list(wanted)
    found = lookup(batch, wanted)
    if len(found) < len(wanted):
        raise _missing([name for name in wanted if name not in found], batch, asker, remedy)
    return found


def _missing(missing: list[str], batch: Any, asker: str, remedy: str) -> Exception:
    types = [kind for kind in node_types(batch) if any(name in batch[kind] for name in missing)]
    if not types and "edge_index" in missing and node_types(batch):
        return ValueError(
            f"{asker} reads the edges of one type of nodes, 'edge_index', and heterogeneous data have those of "
            f"{batch.edge_types}: choose what reads no edges, or give nodes of one type with edges among them as Data"
        )
    if not types:
        if missing == ["batch"]:
            remedy = "; of many graphs give batches, torch_geometric.loader.DataLoader(graphs, batch_size=32)" + remedy
        return KeyError(f"{asker} needs {missing} from the batch, which has {names(batch)}{remedy}")
    kind, name = types[0], next(name for name in missing if name in batch[types[0]])
    return ValueError(
        f"{asker} needs {missing} from the batch, which has it for each node type, {types}: name the type, by a copy "
        f"at the top level, data[{name!r}] = data[{kind!r}].{name}{remedy}"
    )


def featureless(batch: Any) -> list[str]:
    """List the node types of heterogeneous data that have edges and no ``x``, where others have one."""
    types = node_types(batch)
    ends = {end for source, _, target in batch.edge_types for end in (source, target)} if types else set()
    without = [kind for kind in types if "x" not in batch[kind]]
    return [kind for kind in without if kind in ends] if len(without) < len(types) else []


def required(function: Callable) -> tuple[str, ...]:
    """List the names of a function's parameters without a default."""
    return tuple(p.name for p in _named(function) if p.default is p.empty)


def _named(function: Callable) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]


class Inputs:
    """Inputs of a model's ``forward``: those that it requires, and those that it also takes where the batch has them.

    Parameters with a default are filled too, except labels, splits and a sampler's ``batch_size``. With ``HeteroData``,
    a model that takes ``edge_index``, as ``to_hetero`` makes it, gets dicts by type: ``x_dict`` for ``x``.
    """

    def __init__(self, function: Callable, *, skip: int = 0) -> None:
        """Read the parameters of a function, except the first ``skip``, which the caller gives."""
        parameters = _named(function)[skip:]
        self.required = tuple(p.name for p in parameters if p.default is p.empty)
        others = [p.name for p in parameters if p.default is not p.empty]
        self._nameless = not parameters and len(inspect.signature(function).parameters) > skip
        self.optional = tuple(name for name in others if not _NOT_INPUTS.fullmatch(name))
        self._count = "batch_size" in others  # the number of graphs, which only a batch of graphs has

    def of(self, batch: Batch, asker: str) -> tuple[dict[str, Any], list[str]]:
        """Return the inputs that a batch has, and the names of optional ones among them; KeyError for a missing one."""
        if self._nameless:
            raise TypeError(
                f"{asker} takes no named inputs that a batch could give: give call=lambda model, batch: ..."
            )
        remedy = "; give call=lambda model, batch: ... where it is called in another way"
        look = _lookup_by_type if self._reads_types(batch) else lookup
        given, besides = look(batch, self.required), look(batch, self.optional)
        if len(given) < len(self.required):
            raise _missing([name for name in self.required if name not in given], batch, asker, remedy)
        if self._count and entry(batch, "batch_size") is None:
            besides |= lookup(batch, ("batch_size",))
        return {**given, **besides}, list(besides)

    def _reads_types(self, batch: Any) -> bool:
        takes_edges = "edge_index" in self.required or "edge_index" in self.optional
        return takes_edges and bool(node_types(batch)) and "edge_index" not in batch._global_store


def _lookup_by_type(batch: Batch, wanted: Iterable[str]) -> dict[str, Any]:
    """Return those of the wanted entries that heterogeneous data have, by type where some type has them."""
    wanted = list(wanted)
    of_types = lookup(batch, [f"{name}_dict" for name in wanted])
    others = lookup(batch, [name for name in wanted if f"{name}_dict" not in of_types])
    return others | {name.removesuffix("_dict"): value for name, value in of_types.items()}
