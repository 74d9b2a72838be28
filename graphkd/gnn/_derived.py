"""Cache values derived from a tensor: graphs with self-loops, and lists of peers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

from graphkd.core.identity import Once

P = ParamSpec("P")
R = TypeVar("R")


def kept(make: Callable[Concatenate[Tensor, P], R]) -> Callable[Concatenate[Tensor, P], R]:
    """Cache a function's result for its first argument, until that tensor is freed or written to.

    The other arguments must be hashable. The result must not refer to the tensor itself, which would keep it alive.
    """
    once = Once()

    @functools.wraps(make)
    def look_up(tensor: Tensor, /, *rest: P.args, **named: P.kwargs) -> R:
        if torch.compiler.is_compiling() or tensor.is_inference():
            return make(tensor, *rest, **named)
        key = (rest, tuple(sorted(named.items())))
        found: R = once(tensor, key, lambda: make(tensor, *rest, **named))
        return found

    return look_up


@kept
def with_self_loops(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Append a loop to the edges for every node that has none: (2, E) -> (2, E + n)."""
    source, target = edge_index
    bare = torch.ones(num_nodes, dtype=torch.bool, device=edge_index.device)
    bare[source[source == target]] = False
    return torch.cat([edge_index, bare.nonzero().t().expand(2, -1).to(edge_index.dtype)], dim=1)
