"""Draws without replacement, in many rows at once, from torch's global generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def first_distinct(draw: Callable[[Tensor], Tensor], rows: int, k: int, device: torch.device | str = "cpu") -> Tensor:
    """Draw until k values of a sequence of independent draws are distinct, in every row: (rows, k), ascending.

    ``draw(rows (n,)) -> (n,)`` makes one draw for each row named. The set has the law of successive sampling with the
    weights of ``draw``. Only repeats are drawn anew, so the cost is that of sorting while k is well below the support.
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
    """Draw integers in [0, bound), int64, bounds broadcast to ``shape``; the bias of 53 bits is below bound / 2**53.

    No product is rounded up to its bound: the largest uniform number is 1 - 2**-53.
    """
    uniform = torch.rand(bounds.shape if shape is None else shape, dtype=torch.float64, device=bounds.device)
    return uniform.mul_(bounds.double()).long()
