"""Negatives of rows, drawn anew at each step: as ids or, where that is cheaper, as counts per node."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from graphkd.kernels.pairs.counts import Others, count_others, draw_others
from graphkd.losses._checks import check_positive

_GATHER = 16  # above this number of nodes per negative, gathering negatives is faster than products with all nodes
_KEPT = 1 << 24  # counts in memory at a time: 64 MB


class Counts(NamedTuple):
    """Negatives of some rows, as counts per node.

    own: (N,) node ids of the rows; often: (N, n) how often each node was drawn, floats; negatives: draws per row.
    """

    own: Tensor
    often: Tensor
    negatives: int


Part = Tensor | Counts  # (N, K) ids, or counts


class Drawn:
    """The negatives of a step's rows, in parts of ``step`` rows; every iteration yields the same draws."""

    def __init__(self, parts: Iterable[Part], step: int) -> None:
        self._parts, self._step = parts, max(step, 1)

    def mean(self, measure: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """Average a measure over all rows; ``measure(part, *rows)`` returns its mean over the rows of one part."""
        total = tensors[0].new_zeros(())
        for share, value in self._each(measure, tensors):
            total = total + share * value
        return total

    def log_mean(self, measure: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """Compute the logarithm of ``mean`` from a measure that returns logarithms."""
        values = [value + math.log(share) for share, value in self._each(measure, tensors)]
        return torch.stack(values).logsumexp(dim=0)

    def _each(self, measure: Callable[..., Tensor], tensors: tuple[Tensor, ...]) -> Iterator[tuple[float, Tensor]]:
        rows = tensors[0].size(0)
        cut = (tensor.split(self._step) for tensor in tensors)
        for part, *rest in zip(self._parts, *cut, strict=True):
            yield rest[0].size(0) / rows if rows else 1.0, measure(part, *rest)


class NegativeDraws(nn.Module):
    """Draw nodes outside a row's class, or without ``labels`` other nodes, uniformly and with replacement.

    samples: draws per row; labels: (num_nodes,) the integer class of every node; own_first: put the row's own id before
    the ids of its negatives, (N, 1 + samples).
    """

    _order: Tensor
    _begin: Tensor
    _size: Tensor

    def __init__(self, samples: int, num_nodes: int, labels: Tensor | None = None, *, own_first: bool = False) -> None:
        super().__init__()
        self.samples, self.own_first = int(check_positive("negatives", samples)), own_first
        groups = torch.arange(num_nodes) if labels is None else labels
        classes = groups.unique().numel()
        if classes < 2:
            raise ValueError(f"negatives are nodes of other classes, got {classes} class of {num_nodes} nodes")
        *places, self._rooms = Others.of(groups)
        for name, tensor in zip(("_order", "_begin", "_size"), places, strict=True):
            self.register_buffer(name, tensor, persistent=False)

    @property
    def others(self) -> Others:
        """The nodes outside each node's class."""
        return Others(self._order, self._begin, self._size, self._rooms)

    def index(self, ids: Tensor) -> Tensor:
        """Draw ids of negatives: (N,) -> (N, samples)."""
        return draw_others(self.others, ids, self.samples)

    def forward(self, ids: Tensor, given: Tensor | None = None) -> Drawn:
        """Return the negatives of rows ``ids`` (N,): the ids ``given`` (N, K), else new draws."""
        if given is None and self._order.numel() <= _GATHER * self.samples:
            return self._counted(ids)
        index = self.index(ids) if given is None else given
        return Drawn((torch.cat([ids[:, None], index], dim=1) if self.own_first else index,), ids.size(0))

    def _counted(self, ids: Tensor) -> Drawn:
        step = max(_KEPT // self._order.numel(), 1)
        if ids.size(0) <= step:
            return Drawn((self._count(ids),), step)
        return Drawn(_Again(self._count, ids, step), step)

    def _count(self, ids: Tensor, generator: torch.Generator | None = None) -> Counts:
        return Counts(ids, count_others(self.others, ids, self.samples, generator), self.samples)


class _Again:
    """Parts that every iteration draws again from the same seed, instead of storing them."""

    def __init__(self, count: Callable[[Tensor, torch.Generator], Counts], ids: Tensor, step: int) -> None:
        self._count, self._ids, self._step = count, ids, step
        self._seed = int(torch.randint(1 << 62, ()))

    def __iter__(self) -> Iterator[Counts]:
        generator = torch.Generator(self._ids.device).manual_seed(self._seed)
        for ids in self._ids.split(self._step):
            yield self._count(ids, generator)
