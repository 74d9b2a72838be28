"""Rows that are nearest or most similar to a row, and the two farthest from each other, without N x N memory."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.kernels.checks import check_matrices, check_vectors
from graphkd.kernels.operators import accumulation_dtype, operator, row_blocks
from graphkd.kernels.pairs.similarity import _prepare, squared_distances
from graphkd.kernels.pairs.tiles import tiles

_BLOCK_ELEMENTS, _ROWS = 1 << 18, 64  # products of a block, which stay in cache; its least rows
_SLACK = 1 + 1e-5  # enlarges a bound against rounding


def nearest_rows(x: Tensor, count: int, queries: int | None = None) -> Tensor:
    """Find the ``count`` rows nearest to each of the first ``queries`` rows (all), itself left out, nearest first.

    (N, d) -> (queries, min(count, N - 1)) indices. O(queries N d) time, memory of the result and a block.
    """
    check_matrices(x=x)
    indices: Tensor = _nearest_rows(x, min(count, max(x.size(0) - 1, 0)), x.size(0) if queries is None else queries)
    return indices


def similar_rows(x: Tensor, count: int, labels: Tensor | None = None, *, same: bool = True) -> Tensor:
    """Find the ``count`` rows with the largest positive inner products with each row, itself left out, largest first.

    With ``labels`` only rows of the same label count, with ``same=False`` only rows of other labels. Where fewer than
    ``count`` products are positive, the row's own index fills the remaining places. (N, d) -> (N, min(count, N - 1))
    indices. O(N^2 d) time, memory of the result and a block.
    """
    check_matrices(x=x)
    if labels is not None:
        check_vectors(x.size(0), labels=labels)
    indices: Tensor = _similar_rows(x, min(count, max(x.size(0) - 1, 0)), labels, same)
    return indices


def farthest_rows(x: Tensor) -> Tensor:
    """Find the two rows that are farthest from each other: (N, d) -> (2,) indices.

    Where all rows are equal, both indices are the same; without rows the result is (0,). So
    ``x[farthest_rows(x)].diff(dim=0)`` is their difference in all cases. Rows are sorted by their distance from the
    mean, and pairs too close to the mean to be the farthest are skipped: O(N^2 d) time at worst, one tile of memory.
    """
    check_matrices(x=x)
    indices: Tensor = _farthest_rows(x)
    return indices


@operator("nearest_rows")
def _nearest_rows(x: Tensor, count: int, queries: int) -> Tensor:
    side = _prepare(x, "euclidean")
    found = torch.empty(queries, count, dtype=torch.int64, device=x.device)
    for rows in row_blocks(queries, x.size(0), _BLOCK_ELEMENTS, x.device, _ROWS):
        squared = squared_distances(*side, rows)
        squared.diagonal(rows.start).fill_(torch.inf)
        found[rows] = squared.topk(count, dim=1, largest=False).indices
    return found


@_nearest_rows.register_fake
def _(x: Tensor, count: int, queries: int) -> Tensor:
    return x.new_empty(queries, count, dtype=torch.int64)


@operator("similar_rows")
def _similar_rows(x: Tensor, count: int, labels: Tensor | None, same: bool) -> Tensor:
    x = x.to(accumulation_dtype(x))
    found = torch.empty(x.size(0), count, dtype=torch.int64, device=x.device)
    for rows in row_blocks(x.size(0), x.size(0), _BLOCK_ELEMENTS, x.device, _ROWS):
        products = x[rows] @ x.t()
        if labels is not None:
            products.masked_fill_((labels[rows, None] == labels) != same, 0)
        products.diagonal(rows.start).fill_(0)
        best = products.topk(count, dim=1)
        itself = torch.arange(rows.start, rows.stop, device=x.device)[:, None]
        found[rows] = torch.where(best.values > 0, best.indices, itself)
    return found


@_similar_rows.register_fake
def _(x: Tensor, count: int, labels: Tensor | None, same: bool) -> Tensor:
    return x.new_empty(x.size(0), count, dtype=torch.int64)


@operator("farthest_rows")
def _farthest_rows(x: Tensor) -> Tensor:
    x, norm = _prepare(x, "euclidean")
    norm, order = norm.sort(descending=True)
    x, length = x[order], (norm.sqrt() * _SLACK).tolist()
    best, pair = 0.0, torch.zeros(min(2, 2 * x.size(0)), dtype=torch.int64, device=x.device)
    for rows, columns in tiles(x):
        if (length[rows.start] + length[columns.start]) ** 2 <= best:  # |a - b| <= |a| + |b|
            continue
        squared = squared_distances(x, norm, rows, columns)
        place = squared.argmax()
        value = float(squared.view(-1)[place])
        if value > best:
            width = squared.size(1)
            best, pair = value, torch.stack([order[rows.start + place // width], order[columns.start + place % width]])
    return pair


@_farthest_rows.register_fake
def _(x: Tensor) -> Tensor:
    return x.new_empty(min(2, 2 * x.size(0)), dtype=torch.int64)
