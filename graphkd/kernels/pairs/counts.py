"""Multinomial counts of items without single draws, for more draws than there are items.

Given their sum, independent Poisson counts are multinomial. So each row draws Poisson counts whose mean is a little too
small, draws again where their sum is too large, and adds the few missing draws one by one.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from graphkd.kernels.operators import row_blocks

_CELLS = 1 << 19  # counts drawn at a time, so that temporaries stay in cache
_SLACK = 2.0  # standard deviations by which the mean sum of a row is below ``samples``: 1 row in 44 is drawn again
_UPPER, _LOWER = 14, 34  # a table over the upper 14 of 48 random bits decides nearly every count
_LEVELS = 16  # tables at most
_FEW = 2  # with more items than this per draw, single draws are faster
_EXACT = 1 << 24  # float32 holds all whole numbers up to here


class Others(NamedTuple):
    """Items of other groups than an item's own: of the items sorted by group, all but one contiguous run."""

    order: Tensor  # (n,)
    begin: Tensor  # (n,) where the group of an item begins in ``order``
    size: Tensor  # (n,) items of that group
    rooms: tuple[int, ...]  # the different numbers of others of an item, increasing

    @classmethod
    def of(cls, groups: Tensor) -> Others:
        """Build from the group of every item, (n,) integers."""
        _, places, sizes = groups.unique(return_inverse=True, return_counts=True)
        rooms = (groups.numel() - sizes).unique().tolist()
        return cls(places.argsort(stable=True), (sizes.cumsum(0) - sizes)[places], sizes[places], tuple(rooms))

    @property
    def alone(self) -> bool:
        """Tell whether every item is a group of its own."""
        return self.rooms == (self.order.numel() - 1,)


def draw_others(others: Others, ids: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw items of other groups than those of ``ids``, uniformly with replacement: (N,) -> (N, samples)."""
    return _place(others, ids[:, None], (ids.numel(), samples), generator)


def count_others(others: Others, ids: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw how often each item occurs in ``samples`` draws from other groups than that of ``ids``: (N,) -> (N, n).

    Floats, distributed as counts of ``draw_others`` up to 2^-48; rows are independent and sum to ``samples``. O(N n)
    time.
    """
    dtype = torch.float32 if samples < _EXACT else torch.float64
    if _FEW * samples < others.order.numel() or torch.compiler.is_compiling():  # the loop below reads values
        index = draw_others(others, ids, samples, generator)
        return _add(torch.zeros(ids.numel(), others.order.numel(), dtype=dtype, device=ids.device), index)
    counts = _poisson(others, ids, samples, dtype, generator)
    while True:
        missing = samples - counts.sum(dim=1)
        again = (missing < 0).nonzero()[:, 0]
        if not again.numel():
            break
        counts[again] = _poisson(others, ids[again], samples, dtype, generator)
    rows = torch.repeat_interleave(missing.long())
    flat = rows * counts.size(1) + _place(others, ids[rows], rows.shape, generator)
    return _add(counts.view(1, -1), flat[None]).view_as(counts)


def _add(counts: Tensor, index: Tensor) -> Tensor:
    return counts.scatter_add_(1, index, counts.new_ones(()).expand_as(index))


def _place(others: Others, ids: Tensor, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """Draw an item for each entry of ``shape``: a place in ``order``, shifted past the own group from its start on."""
    held = others.order.numel()
    if others.alone:
        drawn = torch.randint(max(held - 1, 1), shape, generator=generator, device=ids.device)
        return drawn.add_(drawn >= ids)
    size = others.size[ids]
    share = torch.rand(shape, dtype=torch.float64, generator=generator, device=ids.device)
    drawn = share.mul_(held - size).long()
    return others.order[drawn.add_((drawn >= others.begin[ids]) * size)]


def _poisson(
    others: Others, ids: Tensor, samples: int, dtype: torch.dtype, generator: torch.Generator | None
) -> Tensor:
    """Draw counts that sum to a little less than ``samples``, 0 in the own group; (N, n)."""
    held = others.order.numel()
    rooms = _levels(others.rooms)
    table, bounds = _tables(tuple(_mean(samples, room) for room in rooms), dtype, ids.device)
    # a row whose room has no table uses that of the next larger room, whose mean is smaller
    level = torch.searchsorted(torch.tensor(rooms, device=ids.device), held - others.size[ids])
    counts = torch.empty(ids.numel(), held, dtype=dtype, device=ids.device)
    for rows in row_blocks(ids.numel(), held, _CELLS, ids.device):
        _fill(counts[rows].view(-1), level[rows], table, bounds, generator)
        if others.alone:
            counts[rows].scatter_(1, ids[rows, None], 0)
        else:
            counts[rows].masked_fill_(others.begin[ids[rows], None] == others.begin, 0)
    return counts


def _levels(rooms: tuple[int, ...]) -> tuple[int, ...]:
    """Choose up to ``_LEVELS`` of the rooms, the largest among them."""
    last, number = len(rooms) - 1, min(len(rooms), _LEVELS)
    return tuple(rooms[last - last * k // max(number - 1, 1)] for k in reversed(range(number)))


def _mean(samples: int, room: int) -> float:
    return max(samples - _SLACK * math.sqrt(samples), 0.0) / max(room, 1)


def _fill(counts: Tensor, level: Tensor, table: Tensor, bounds: Tensor, generator: torch.Generator | None) -> None:
    """Fill ``counts``, rows of one length end to end, with Poisson counts of the mean number ``level`` of each row."""
    bits = torch.empty((counts.numel() + 3) // 4, dtype=torch.int64, device=counts.device)
    bits.random_(-(1 << 63), None, generator=generator)
    upper = bits.view(torch.int16)[: counts.numel()].int().bitwise_and_((1 << _UPPER) - 1)
    if bounds.size(0) > 1:
        upper.view(level.numel(), -1).add_((level.int() << _UPPER)[:, None])
    torch.index_select(table, 0, upper, out=counts)
    unsure = (counts < 0).nonzero()[:, 0]
    upper = upper[unsure].long()
    value = (upper << _LOWER) + torch.randint(1 << _LOWER, upper.shape, generator=generator, device=counts.device)
    below = torch.searchsorted(bounds.view(-1), value, right=True) - (upper >> _UPPER) * bounds.size(1)
    counts[unsure] = below.to(counts.dtype)


@functools.lru_cache(maxsize=8)
def _tables(means: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tabulate the Poisson count for each mean and each value of the upper bits, flat; -1 where lower bits decide.

    Also return the bounds between counts in 48 bits, (means, counts), those of the k-th mean raised by k 2^48.
    """
    largest = max(means)
    k = torch.arange(int(largest + 12 * math.sqrt(largest) + 24), dtype=torch.float64)
    mean = torch.tensor(means, dtype=torch.float64)[:, None]
    share = (torch.xlogy(k, mean) - mean - torch.lgamma(k + 1)).exp().cumsum(dim=1).clamp_max(1)
    start = torch.arange(len(means))[:, None] << (_UPPER + _LOWER)
    bounds = (share * 2.0 ** (_UPPER + _LOWER)).round().long() + start
    cells = torch.arange(len(means) << _UPPER) << _LOWER
    first, last = (torch.searchsorted(bounds.view(-1), cells + end, right=True) for end in (0, (1 << _LOWER) - 1))
    counts = first - (cells >> (_UPPER + _LOWER)) * k.numel()
    return torch.where(first == last, counts, -1).to(device, dtype), bounds.to(device)
