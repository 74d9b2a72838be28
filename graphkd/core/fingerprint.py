"""Fingerprints: what tells one model, graph or batch from another without keeping it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.view import Batch, names

_BLOCK = 1 << 22  # entries of a tensor that are brought to the CPU at a time


def fingerprint(value: Any) -> str:
    """Sha256 of a tensor's dtype, shape and values, of a number, a text, or of lists, mappings, dataclasses of such.

    Neither the device nor the order of a mapping counts. About a second per gigabyte; TypeError for anything else.
    """
    hasher = hashlib.sha256()
    _update(hasher, value)
    return hasher.hexdigest()


def model_fingerprint(model: nn.Module) -> str:
    """``fingerprint`` of a model's state dict and of the class of every sub-module, compiled or not."""
    plain = getattr(model, "_orig_mod", model)
    classes = {path: f"{type(part).__module__}.{type(part).__qualname__}" for path, part in plain.named_modules()}
    return fingerprint((classes, plain.state_dict()))


def graph_fingerprint(data: Any, wanted: Iterable[str] | None) -> str:
    """``fingerprint`` of those of the names ``wanted`` that a batch has, None for all; of a loader, what it reads.

    That is a sequence of batches (itself, its ``dataset`` or ``cluster_data``), which then count with their ``n_id``,
    or the one graph that PyG's loaders keep as ``data``. ValueError for a loader without any.
    """
    if names(data) is not None:
        return fingerprint(_facts(data, wanted, with_ids=False))
    sources: list[Any] = [data, getattr(data, "cluster_data", None), getattr(data, "dataset", None)]
    for source in sources:
        if hasattr(source, "__getitem__") and len(source) and names(source[0]) is not None:
            return fingerprint([_facts(source[i], wanted, with_ids=True) for i in range(len(source))])
    graph: Any = getattr(data, "data", None)
    if names(graph) is None:
        raise ValueError(
            f"a store is kept for one graph: 'data' must be a batch, a sequence of batches, or a loader that has its "
            f"graph as 'data' or its graphs as 'dataset', got {type(data).__name__}"
        )
    return fingerprint(_facts(graph, wanted, with_ids=False))


def _facts(batch: Batch, wanted: Iterable[str] | None, *, with_ids: bool) -> dict[str, Any]:
    chosen = set(names(batch) or ()) if wanted is None else {name for name in wanted if name in batch}
    chosen = chosen | {"n_id"} if with_ids and "n_id" in batch else chosen - {"n_id"}
    return {name: batch[name] for name in chosen}


def _update(hasher: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        hasher.update(f"tensor {value.dtype} {tuple(value.shape)};".encode())
        for part in _parts(value.detach()):
            hasher.update(part.cpu().contiguous().flatten().view(torch.uint8).numpy())
    elif (entries := _entries(value)) is not None:
        hasher.update(f"mapping {len(entries)};".encode())
        for name in sorted(entries):
            _update(hasher, name)
            _update(hasher, entries[name])
    elif isinstance(value, (list, tuple)):
        hasher.update(f"list {len(value)};".encode())
        for part in value:
            _update(hasher, part)
    elif isinstance(value, (bool, int, float, str, bytes, type(None))):
        hasher.update(f"{value!r};".encode())
    else:
        raise TypeError(
            f"a fingerprint needs tensors, numbers, text and containers of them, got {type(value).__name__}"
        )


def _entries(value: Any) -> Mapping[str, Any] | None:
    """The entries of a mapping, the fields of a dataclass."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    return value if isinstance(value, Mapping) else None


def _parts(tensor: Tensor) -> Iterator[Tensor]:
    """The values of a tensor in blocks of rows, so that no copy of all of it is made."""
    if tensor.layout != torch.strided:
        sparse = tensor.to_sparse_coo().coalesce()
        yield from (*_parts(sparse.indices()), *_parts(sparse.values()))
    else:
        plain = torch.atleast_1d(tensor.as_subclass(Tensor))  # an EdgeIndex refuses some of what follows
        if plain.numel():
            yield from plain.split(max(1, _BLOCK * plain.size(0) // plain.numel()))
