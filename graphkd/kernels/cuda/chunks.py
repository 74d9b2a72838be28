"""Rows cut into chunks of bounded length, so that a node of a million edges takes thousands of programs and not one.

A kernel runs one program, or one line of a tile, for every chunk. A row of one chunk gets its result from it; chunks of
a longer row write partial results into slots, which a second, small kernel combines in order: the same bits every time.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

LENGTH = 256  # edges of a chunk
_KNOWN = WeakIdKeyDictionary()  # pointers -> their chunks, while the tensor lives


class Chunks(NamedTuple):
    """Chunks of rows: of each its ``row``, first edge ``start`` and ``slot``, -1 for the only chunk of a row.

    ``long_row`` (L): the rows of more than ``length`` edges; ``long_ptr`` (L + 1): pointers to their slots. All int32.
    A row without edges has one chunk.
    """

    row: Tensor
    start: Tensor
    slot: Tensor
    long_row: Tensor
    long_ptr: Tensor
    length: int
    slots: int


def row_chunks(ptr: Tensor) -> Chunks:
    """Cut the rows between pointers (R + 1) into chunks; O(R + E / length), cached while the pointers live.

    Waits for the device, since the number of chunks depends on the pointers' values.
    """
    if ptr.is_inference():
        return _cut(ptr)
    key = (LENGTH, ptr._version, ptr.data_ptr())
    known = _KNOWN.get(ptr)
    if known is None or known[0] != key:
        known = _KNOWN[ptr] = (key, _cut(ptr))
    chunks: Chunks = known[1]
    return chunks


def _cut(ptr: Tensor) -> Chunks:
    count = ((ptr.diff() + (LENGTH - 1)) // LENGTH).clamp_min(1)
    first = _offsets(count)
    total = int(first[-1])
    row = torch.repeat_interleave(count, output_size=total)
    place = torch.arange(total, device=ptr.device) - first[row]  # number of a chunk within its row
    long_row = (count > 1).nonzero().squeeze(1)
    long_first = _offsets(count * (count > 1))
    slot = torch.where(count[row] > 1, long_first[row] + place, -1)
    long_ptr = torch.cat([long_first[long_row], long_first[-1:]])
    start = ptr[row] + place * LENGTH
    slots = total - count.size(0) + long_row.size(0)
    return Chunks(row.int(), start.int(), slot.int(), long_row.int(), long_ptr.int(), LENGTH, slots)


def _offsets(count: Tensor) -> Tensor:
    """Compute where each of consecutive runs starts, and the end: (R,) -> (R + 1), int64."""
    return torch.cat([count.new_zeros(1, dtype=torch.int64), count.cumsum(0)])
