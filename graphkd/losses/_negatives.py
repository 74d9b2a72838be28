"""Negatives of rows, drawn anew at each step: as ids or, where that costs less, as how often each node was drawn."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from graphkd.kernels.pairs.counts import Others, count_others, draw_others
from graphkd.losses._checks import check_positive

_GATHER = 16  # beyond so many nodes for each negative, gathering negatives is faster than products with all nodes
_KEPT = 1 << 24  # counts held at a time: 64 MB


class Counts(NamedTuple):
    """Negatives of some rows, by how often each node is one.

    own: (N,) which nodes the rows are; often: (N, n) floats; negatives: how many each row has.
    """

    own: Tensor
    often: Tensor
    negatives: int


Part = Tensor | Counts  # (N, K) ids, or counts


class Drawn:
    """The negatives of a step's rows, in parts of ``step`` rows; every look at them shows the same."""

    def __init__(self, parts: Iterable[Part], step: int) -> None:
        self._parts, self._step = parts, max(step, 1)

    def mean(self, measure: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """The mean over all rows of a measure: ``measure(part, *rows)`` is its mean over the rows of a part."""
        total = tensors[0].new_zeros(())
        for share, value in self._each(measure, tensors):
            total = total + share * value
        return total

    def log_mean(self, measure: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """The logarithm of ``mean``, from a measure that gives logarithms."""
        values = [value + math.log(share) for share, value in self._each(measure, tensors)]
        return torch.stack(values).logsumexp(dim=0)

    def _each(self, measure: Callable[..., Tensor], tensors: tuple[Tensor, ...]) -> Iterator[tuple[float, Tensor]]:
        rows = tensors[0].size(0)
        cut = (tensor.split(self._step) for tensor in tensors)
        for part, *rest in zip(self._parts, *cut, strict=True):
            yield rest[0].size(0) / rows if rows else 1.0, measure(part, *rest)


class NegativeDraws(nn.Module):
    """Draw nodes of other classes than a row's own, uniformly and with replacement; without ``labels`` other nodes.

    samples: how many for each row; labels: (num_nodes,) the class of every node, an integer; with ``own_first`` ids of
    negatives come after the row's own: (N, 1 + samples).
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
        """The nodes of other classes than each one's."""
        return Others(self._order, self._begin, self._size, self._rooms)

    def index(self, ids: Tensor) -> Tensor:
        """Ids of negatives: (N,) -> (N, samples)."""
        return draw_others(self.others, ids, self.samples)

    def forward(self, ids: Tensor, given: Tensor | None = None) -> Drawn:
        """The negatives of rows ``ids`` (N,): those ``given`` (N, K), or new ones."""
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
    """Parts that are drawn anew at every look, from the same random numbers."""

    def __init__(self, count: Callable[[Tensor, torch.Generator], Counts], ids: Tensor, step: int) -> None:
        self._count, self._ids, self._step = count, ids, step
        self._seed = int(torch.randint(1 << 62, ()))

    def __iter__(self) -> Iterator[Counts]:
        generator = torch.Generator(self._ids.device).manual_seed(self._seed)
        for ids in self._ids.split(self._step):
            yield self._count(ids, generator)
