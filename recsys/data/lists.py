"""Lists of pairs that a model scores for a batch of ranking distillation."""

from __future__ import annotations

import logging
from typing import NamedTuple

import torch
from torch import Tensor

_log = logging.getLogger(__name__)
_MARKS = 2**22  # bytes of marks at a time, one for each item of a row


class Lists(NamedTuple):
    """Pairs to score: users (R,) with items (R, M), or, for the item side, users (R, M) with items (R,)."""

    users: Tensor
    items: Tensor


def list_length(name: str, asked: int | None, usual: int, most: int, what: str) -> int:
    """Choose the length of a list: ``asked``, else the ``usual`` one, or ``most`` where a small data set has no more.

    what: explains ``most`` in messages. A list shorter than usual is logged; ValueError where ``asked`` exceeds
    ``most``.
    """
    if most < 1 or (asked is not None and not 1 <= asked <= most):
        asked = usual if asked is None else asked
        raise ValueError(f"'{name}' must be from 1 to {most}, {what}, got {asked}")
    if asked is None and usual > most:
        _log.warning("%r is %d here, %s, not %d", name, most, what, usual)
    return min(usual, most) if asked is None else asked


def among(items: Tensor, *lists: Tensor) -> tuple[Tensor, ...]:
    """Tell whether each item is in lists of its row: ids (R, M), each list (R, N) -> (R, M) bool for each list.

    O(R (M + N)), by one byte for every row and id, some rows at a time; ids must not be negative.
    """
    size = 1 + max((int(ids.max()) for ids in (items, *lists) if ids.numel()), default=0)
    step = max(1, min(items.size(0), _MARKS // size))
    marks = torch.zeros(step, size, dtype=torch.bool, device=items.device)
    found = tuple(torch.empty_like(items, dtype=torch.bool) for _ in lists)
    for begin in range(0, items.size(0), step):
        rows = slice(begin, begin + step)
        wanted = items[rows].long()
        for ids, answers in zip(lists, found, strict=True):
            listed = ids[rows].long()
            torch.gather(marks.scatter_(1, listed, True), 1, wanted, out=answers[rows])
            marks.scatter_(1, listed, False)  # clean for the next list; clearing costs as much as setting
    return found
