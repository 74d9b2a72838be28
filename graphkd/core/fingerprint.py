"""Fingerprints: hashes that tell one model, graph or batch from another without keeping it."""

from __future__ import annotations

import functools
import hashlib
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from graphkd.core.by_name import names
from graphkd.core.identity import blocks
from graphkd.core.ids import IDS, inputs
from graphkd.core.wrappers import plain_parts, plain_state

_BLOCK = 1 << 22  # entries of a tensor that are brought to the CPU at a time
_SHORT = 40  # letters of the longest setting that is not shortened


def fingerprint(value: Any) -> str:
    """Hash a tensor's dtype, shape and values, a number, text, or lists, mappings and dataclasses of these, by sha256.

    The device, the kind of sparse layout and the order of a mapping do not matter. Costs about a second per gigabyte.
    Raises TypeError for other values.
    """
    hasher = hashlib.sha256()
    _update(hasher, value)
    return hasher.hexdigest()


def model_fingerprint(model: nn.Module) -> str:
    """Compute the ``fingerprint`` of a model's ``state_fingerprint`` and ``attributes_of``, compiled or not."""
    return fingerprint((state_fingerprint(model), attributes_of(model)))


def state_fingerprint(model: nn.Module) -> str:
    """Compute the ``fingerprint`` of a model's state dict and of the class of every sub-module, compiled or not."""
    classes = {path: f"{type(part).__module__}.{type(part).__qualname__}" for path, part in plain_parts(model)}
    return fingerprint((classes, plain_state(model)))


def attributes_of(model: nn.Module) -> dict[str, str]:
    """Collect what a model computes with besides its state: plain public attributes of all sub-modules, as short text.

    Plain are numbers, text, flags, dtypes, lists and mappings of these, and functions and classes, by their names. None
    and other values are left out: an attribute that caches something may be either.
    """
    found = {}
    for path, module in plain_parts(model):
        for name, value in vars(module).items():
            text = None if name.startswith("_") or name == "training" else _plain(value)
            if text is not None:
                key = f"{path}.{name}" if path else name
                found[key] = text if len(text) <= _SHORT else f"{text[:_SHORT]}… {fingerprint(text)[:12]}"
    return found


def _plain(value: Any) -> str | None:
    """Return a setting as text; None for what is no setting."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, (bool, int, float, complex, str, torch.dtype)):
        return repr(value)
    if (entries := _entries(value)) is not None:
        return _several([f"{name}: {text}" for name in sorted(entries, key=str) if (text := _plain(entries[name]))])
    if isinstance(value, (list, tuple, set, frozenset)):
        parts = [text for part in value if (text := "None" if part is None else _plain(part)) is not None]
        if len(parts) < len(value):
            return None
        return _several(sorted(parts) if isinstance(value, (set, frozenset)) else parts)
    return _function(value)


def _several(parts: Sequence[str]) -> str:
    return f"[{', '.join(parts)}]"


def _function(value: Any) -> str | None:
    """Describe a function, a class or a ``partial`` by its name; None for other values."""
    if isinstance(value, functools.partial):
        return f"{_function(value.func)}({_plain(value.args)}, {_plain(value.keywords)})"
    if isinstance(value, (Tensor, nn.Module)) or not callable(value) or not hasattr(value, "__qualname__"):
        return None
    name = f"{getattr(value, '__module__', None)}.{value.__qualname__}"
    return f"{name} {_code(value)}" if isinstance(value, FunctionType) and "<" in name else name


def _code(function: FunctionType) -> str:
    """Hash the code of a function without a name of its own, a lambda say, with its constants and defaults."""
    code, cells = function.__code__, function.__closure__ or ()
    values = [*code.co_consts, *(function.__defaults__ or ()), *(cell.cell_contents for cell in cells)]
    return fingerprint([code.co_code, list(code.co_names), [_plain(value) for value in values]])[:12]


def graph_fingerprint(data: Any, wanted: Sequence[str] | None) -> str:
    """Compute the ``fingerprint`` of a batch's entries ``wanted``, None for all, or of the data that a loader reads.

    These are a sequence of batches (the loader, its ``dataset`` or ``cluster_data``), hashed with their ids, or the one
    graph that PyG's loaders have as ``data``. Raises ValueError for a loader with neither.
    """
    if names(data) is not None:
        return fingerprint(inputs(data, wanted))
    sources: list[Any] = [data, getattr(data, "cluster_data", None), getattr(data, "dataset", None)]
    for source in sources:
        if hasattr(source, "__getitem__") and len(source) and names(source[0]) is not None:
            return fingerprint([_with_ids(source[i], wanted) for i in range(len(source))])
    graph: Any = getattr(data, "data", None)
    if names(graph) is None:
        raise ValueError(
            f"a store is kept for one graph: 'data' must be a batch, a sequence of batches, or a loader that has its "
            f"graph as 'data' or its graphs as 'dataset', got {type(data).__name__}"
        )
    return fingerprint(inputs(graph, wanted))


def _with_ids(batch: Any, wanted: Sequence[str] | None) -> dict[str, Any]:
    return {**inputs(batch, wanted), **{name: batch[name] for name in IDS if name in batch}}


def _update(hasher: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        _update_tensor(hasher, value)
    elif (held := _entries(value)) is not None:
        hasher.update(f"mapping {len(held)};".encode())
        for name in sorted(held, key=_order):
            _update(hasher, name)
            _update(hasher, held[name])
    elif isinstance(value, (list, tuple)):
        hasher.update(f"list {len(value)};".encode())
        for part in value:
            _update(hasher, part)
    elif isinstance(value, (bool, int, float, str, bytes, type(None))):
        hasher.update(f"{value!r};".encode())
    else:
        _update(hasher, _of_others(value))


def _of_others(value: Any) -> Any:
    """Split an array of numpy, or a sparse matrix of torch_sparse, into parts; TypeError for anything else."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return str(value.dtype), value.shape, value.tobytes()
    if hasattr(value, "sparse_sizes") and hasattr(value, "coo"):
        return "sparse", list(value.sparse_sizes()), *value.coo()
    raise TypeError(f"a fingerprint needs tensors, numbers, text and containers of them, got {type(value).__name__}")


def _update_tensor(hasher: Any, tensor: Tensor) -> None:
    if is_lazy(tensor):
        hasher.update(b"tensor without a shape yet;")
        return
    hasher.update(f"tensor {tensor.dtype} {tuple(tensor.shape)};".encode())
    for part in _parts(tensor.detach()):
        hasher.update(part.cpu().contiguous().flatten().view(torch.uint8).numpy())


def _order(name: Any) -> Any:
    return (name,) if isinstance(name, str) else tuple(map(str, name)) if isinstance(name, tuple) else (str(name),)


def _entries(value: Any) -> Mapping[Any, Any] | None:
    """Return the entries of a mapping or a namespace, or the fields of a dataclass; None for anything else."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, (Namespace, SimpleNamespace)):
        return vars(value)
    return value if isinstance(value, Mapping) else None


def _parts(tensor: Tensor) -> Iterator[Tensor]:
    """Yield the values of a tensor in blocks of rows, so that it is never copied as a whole."""
    if tensor.layout != torch.strided:
        sparse = tensor.to_sparse_coo().coalesce()
        yield from (*_parts(sparse.indices()), *_parts(sparse.values()))
    else:
        plain = torch.atleast_1d(blocks(tensor)[0].as_subclass(Tensor))  # an EdgeIndex refuses some of what follows
        if plain.numel():
            yield from plain.split(max(1, _BLOCK * plain.size(0) // plain.numel()))
