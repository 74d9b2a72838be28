"""Loaders whose random draws are the same in an uninterrupted run and in a resumed one."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

_PARTS = ("data", "dataset", "sampler", "batch_sampler")  # where a loader's generators may be


def steady(data: Any, seed: int) -> Any:
    """Return a copy of a loader with persistent workers that seeds them for every batch; other data unchanged.

    Persistent workers are seeded only when they start, so that a resumed run would draw other numbers. Here they seed
    themselves for every batch, from a number drawn once an epoch. For an ``IterableDataset``, or without a batch
    sampler, new workers start every epoch instead.
    """
    if not isinstance(data, DataLoader) or not data.persistent_workers:
        return data
    loader = copy.copy(data)
    loader._iterator = None  # the workers of the original
    if isinstance(data.dataset, IterableDataset) or data.batch_sampler is None:
        loader.__dict__["persistent_workers"] = False  # a DataLoader refuses assignments to these
        return loader
    loader.generator = torch.Generator().manual_seed(seed)  # of the seed with which workers start
    loader.__dict__["batch_sampler"] = _Seeds(data.batch_sampler)
    loader.__dict__["dataset"] = _Reseeded(data.dataset)
    return loader


class _Indices(list):
    """Indices of a batch, and the seed of the draws when they are looked up."""

    seed: int


class _Seeds:
    """Batch sampler that gives each batch a seed."""

    def __init__(self, sampler: Iterable[Any]) -> None:
        self.sampler = sampler

    def set_epoch(self, epoch: int) -> None:
        announce: Any = getattr(self.sampler, "set_epoch", None)
        if announce is not None:
            announce(epoch)

    def __iter__(self) -> Iterator[_Indices]:
        first = int(torch.empty((), dtype=torch.int64).random_())
        for number, indices in enumerate(self.sampler):
            batch = _Indices(indices)
            batch.seed = (first + number) % 2**63
            yield batch

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]


class _Reseeded:
    """Data set that seeds its process's generators before it reads a batch."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[index]

    def __getitems__(self, indices: _Indices) -> Sequence[Any]:
        torch.manual_seed(indices.seed)
        random.seed(indices.seed)
        np.random.seed(indices.seed % 2**32)  # noqa: NPY002 - data sets of others draw from the global generator
        several = getattr(self.dataset, "__getitems__", None)
        return [self.dataset[index] for index in indices] if several is None else several(list(indices))


def generator_states(data: Any) -> list[torch.Tensor]:
    """Return the states of the generators that a loader and its samplers own."""
    return [generator.get_state() for generator in _generators(data)]


def set_generator_states(data: Any, states: Sequence[torch.Tensor]) -> None:
    """Restore a loader's own generators from ``generator_states``."""
    for generator, state in zip(_generators(data), states, strict=False):
        generator.set_state(state)


def _generators(data: Any) -> list[torch.Generator]:
    found: dict[int, torch.Generator] = {}
    todo, seen = [data], set()
    while todo:
        part = todo.pop()
        entries = getattr(part, "__dict__", {})
        if id(part) in seen:
            continue
        seen.add(id(part))
        found |= {id(value): value for value in entries.values() if isinstance(value, torch.Generator)}
        todo += [entries[name] for name in _PARTS if name in entries]
    return list(found.values())
