"""Edges sorted by the node they enter, and draws from them: for samplers, and for fetching neighbourhoods."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkd.core.draws import below, first_distinct

Numbers = np.ndarray[Any, np.dtype[np.int64]]

_FEW = 4  # nodes with at most this many times the fan-out of edges shuffle all edges instead of drawing


class Entering:
    """Sort edges once by their targets (CSR, numpy), and follow those that enter some nodes without reading others.

    edge_index: (2, E) int64, sources first. targets: the number of nodes that edges may enter. Nothing is checked. One
    sort, then O(edges found) a call. numpy serves a single node several times faster than torch.

    Example::

        >>> entering = Entering(torch.tensor([[0, 1, 2], [2, 2, 0]]), targets=3)
        >>> owner, where = entering.follow(np.array([0, 2]), -1)
        >>> owner.tolist(), entering.sources(where).tolist(), entering.columns(where).tolist()
        ([0, 1, 1], [2, 0, 1], [2, 0, 1])
    """

    def __init__(self, edge_index: Tensor, targets: int) -> None:
        source, target = edge_index.unbind()
        order = target.argsort(stable=True)
        small = np.int32 if max(int(source.max()) + 1 if len(source) else 0, len(order)) < 2**31 else np.int64
        self._ptr: Numbers = np.zeros(targets + 1, np.int64)
        np.cumsum(torch.bincount(target, minlength=targets).numpy(), out=self._ptr[1:])
        self._sources = source[order].numpy().astype(small)
        self._ids = order.numpy().astype(small)

    @property
    def nbytes(self) -> int:
        """Count the bytes."""
        return self._ptr.nbytes + self._sources.nbytes + self._ids.nbytes

    def degrees(self, nodes: Numbers) -> Numbers:
        """Count the edges that enter each of some nodes."""
        return self._ptr[nodes + 1] - self._ptr[nodes]

    def sources(self, where: Numbers) -> Numbers:
        """Return the nodes at which edges begin, by positions in the order of the index."""
        return self._sources[where].astype(np.int64)

    def columns(self, where: Numbers) -> Numbers:
        """Return columns of ``edge_index`` for positions in the order of the index."""
        return self._ids[where].astype(np.int64)

    def follow(self, nodes: Numbers, fan_out: int, *, replace: bool = False) -> tuple[Numbers, Numbers]:
        """Find edges that enter some nodes: for each the position of its node in ``nodes``, and its own in the index.

        fan_out: how many of a node's edges, drawn uniformly from torch's global generator, without replacement, or with
        it; -1 for all.
        """
        begin, degrees = self._ptr[nodes], self.degrees(nodes)
        if fan_out < 0:
            return _ranges(begin, degrees)
        if replace:
            return _repeated(begin, degrees, fan_out)
        many = degrees > fan_out
        if not many.any():
            return _ranges(begin, degrees)
        few = ~many
        parts = [(few.nonzero()[0], *_ranges(begin[few], degrees[few]))]
        shuffled, drawn = many & (degrees <= _FEW * fan_out), many & (degrees > _FEW * fan_out)
        if shuffled.any():
            parts.append((shuffled.nonzero()[0], *_shuffled(begin[shuffled], degrees[shuffled], fan_out)))
        if drawn.any() and fan_out:
            parts.append((drawn.nonzero()[0], *_drawn(begin[drawn], degrees[drawn], fan_out)))
        return np.concatenate([rows[owner] for rows, owner, _ in parts]), np.concatenate([at for _, _, at in parts])


def _ranges(begin: Numbers, lengths: Numbers) -> tuple[Numbers, Numbers]:
    """Concatenate the ranges begin, begin + 1, ... of given lengths: return each number's range, and the numbers."""
    owner: Numbers = np.repeat(np.arange(len(lengths)), lengths)
    shift: Numbers = begin + lengths - np.cumsum(lengths)
    return owner, np.arange(len(owner)) + shift[owner]


def _shuffled(begin: Numbers, degrees: Numbers, fan_out: int) -> tuple[Numbers, Numbers]:
    """Return the first ``fan_out`` of each node's edges after shuffling them."""
    owner, where = _ranges(begin, degrees)
    order = (owner + torch.rand(len(owner), dtype=torch.float64).numpy()).argsort()
    kept, first = _ranges(degrees.cumsum() - degrees, np.full_like(degrees, fan_out))
    return kept, where[order[first]]


def _drawn(begin: Numbers, degrees: Numbers, fan_out: int) -> tuple[Numbers, Numbers]:
    """Draw ``fan_out`` distinct edges of each node, which has many more."""
    bounds = torch.from_numpy(degrees)
    ranks = first_distinct(lambda rows: below(bounds[rows]), len(bounds), fan_out).numpy()
    return np.repeat(np.arange(len(degrees)), fan_out), (begin[:, None] + ranks).ravel()


def _repeated(begin: Numbers, degrees: Numbers, fan_out: int) -> tuple[Numbers, Numbers]:
    """Draw ``fan_out`` edges of each node that has any, repeats allowed."""
    own = degrees.nonzero()[0]
    bounds = torch.from_numpy(degrees[own])
    ranks = below(bounds[:, None], (len(own), fan_out)).numpy()
    return np.repeat(own, fan_out), (begin[own, None] + ranks).ravel()
