"""Square tiles of the pairs of rows i <= j: their places, their sums, and whether a number per pair fits in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype

_EDGE = {"cpu": 1 << 9, "cuda": 1 << 12}  # rows, and columns: 1 MB in float32, which stays in a processor's cache
_BUDGET = 1 << 26  # bytes for one number per pair: up to 5,500 rows in float32


def tiles(x: Tensor) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of the tiles of the upper triangle."""
    count, edge = x.size(0), _EDGE.get(x.device.type, _EDGE["cuda"])
    slices = [slice(start, min(start + edge, count)) for start in range(0, count, edge)]
    return ((rows, columns) for number, rows in enumerate(slices) for columns in slices[number:])


def times(rows: slice, columns: slice) -> int:
    """Count how often a tile occurs in the matrix of all pairs: twice off the diagonal."""
    return 1 if rows == columns else 2


def directions(rows: slice, columns: slice) -> Iterator[tuple[slice, int]]:
    """Yield the rows to whose sums a tile adds, and the dimension to sum over: rows i, and for pairs (j, i) rows j."""
    yield rows, 1
    if rows != columns:
        yield columns, 0


def fit_in_memory(x: Tensor) -> bool:
    """Tell whether one number per pair of rows, in the dtype that kernels sum in, takes at most 64 MB."""
    edge = min(_EDGE.get(x.device.type, _EDGE["cuda"]), x.size(0))
    return x.size(0) * (x.size(0) + edge) // 2 * torch.finfo(accumulation_dtype(x)).bits // 8 <= _BUDGET


def gathered(x: Tensor, weighted: Iterable[tuple[slice, slice, Tensor]], *, apart: bool) -> Tensor:
    """Compute sum_j w_ij x_j, or with ``apart`` sum_j w_ij (x_i - x_j), of a symmetric w in tiles: (N, d) -> (N, d)."""
    turned = x.t().contiguous()  # a product with a few columns takes four times as long as one with a few rows
    products, degree = torch.zeros_like(turned), x.new_zeros(x.size(0))
    for rows, columns, weight in weighted:
        for owners, dim in directions(rows, columns):
            others = columns if dim else rows
            products[:, owners].addmm_(turned[:, others], weight.t() if dim else weight)
            if apart:
                degree[owners] += weight.sum(dim=dim)
    return (degree * turned - products if apart else products).t().contiguous()
