"""What all operators share: how they are registered, and the dtype they sum in."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor


def operator(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Register a function as ``graphkd::name``; autocast, which would reach into the body, is off inside."""

    def register(body: Callable[..., Any]) -> Any:
        @functools.wraps(body)
        def exact(tensor: Tensor, *others: Any) -> Any:
            with torch.autocast(tensor.device.type, enabled=False):
                return body(tensor, *others)

        return torch.library.custom_op(f"graphkd::{name}", exact, mutates_args=())

    return register


def accumulation_dtype(x: Tensor) -> torch.dtype:
    """The dtype a kernel sums in, and returns values per edge, node or graph in: float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)


def row_blocks(rows: int, width: int, elements: int) -> Iterator[slice]:
    """Slices that cover ``rows`` rows, each of about ``elements`` entries at ``width`` entries a row."""
    step = max(1, min(rows, elements // max(width, 1)))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
