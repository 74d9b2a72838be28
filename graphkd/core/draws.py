"""Draws without replacement, in many rows at once, from torch's global generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def first_distinct(draw: Callable[[Tensor], Tensor], rows: int, k: int, device: torch.device | str = "cpu") -> Tensor:
    """Draw until k values of a sequence of independent draws are distinct, in every row: (rows, k), ascending.

    ``draw(row ids (n,)) -> (n,)`` makes one draw for each row id. A row's set is distributed as in successive sampling
    with the weights of ``draw``. Only repeats are redrawn, so the cost is that of sorting while k is well below the
    number of values that a row can draw; with fewer than k values it never ends.
    """
    todo = torch.arange(rows, device=device)
    drawn = draw(todo.repeat_interleave(k)).view(rows, k)
    while True:
        part = drawn[todo].sort(dim=1).values
        repeats = torch.zeros_like(part, dtype=torch.bool)
        torch.eq(part[:, 1:], part[:, :-1], out=repeats[:, 1:])
        drawn[todo] = part
        bad = repeats.any(dim=1)
        if not bool(bad.any()):
            return drawn
        todo = todo[bad]
        row, column = repeats[bad].nonzero(as_tuple=True)
        drawn[todo[row], column] = draw(todo[row])


def below(bounds: Tensor, shape: Sequence[int] | None = None) -> Tensor:
    """Draw integers in [0, bound), int64, bounds broadcast to ``shape``; from 53 bits, with a bias below bound / 2**53.

    A bound itself is never drawn: the largest uniform number is 1 - 2**-53, and no product is rounded up.
    """
    uniform = torch.rand(bounds.shape if shape is None else shape, dtype=torch.float64, device=bounds.device)
    return uniform.mul_(bounds.double()).long()
