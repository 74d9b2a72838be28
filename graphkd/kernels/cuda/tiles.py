"""Tiles of all-pairs matrices that are never stored whole, for ``contrast`` and ``pairs``.

Every program sums for its own rows, in an order that depends on shapes alone: no atomics, the same bits every time.
"""

from __future__ import annotations

import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from graphkd.kernels.cuda.common import DTYPES

FEATURES = 32  # features that a product takes at a time
SLICE = 128  # features of a gradient that one program sums, at most
PRECISIONS = {dtype: "tf32x3" if dtype == "fp32" else "tf32" for dtype in DTYPES}  # what ``dot_precision`` gives
_PROGRAMS = 528  # four for each multiprocessor of an H100; the same on every GPU, so that sums keep their order


def parts(programs: int, tiles: int) -> int:
    """Choose into how many parts the tiles of columns are split, so that even few tiles of rows fill a GPU."""
    return max(1, min(tiles, _PROGRAMS // max(programs, 1)))


def padded(x: Tensor) -> Tensor:
    """Make x contiguous, zero-padded to a multiple of ``FEATURES`` columns: tiles are loaded 16 bytes at a time."""
    missing = -x.size(1) % FEATURES
    return F.pad(x, (0, missing)) if missing else x.contiguous()


def narrowed(pull: Tensor, x: Tensor) -> Tensor:
    """Sum the parts of the gradient of x, (parts, rows, padded width), into the shape and dtype of x."""
    return pull.sum(dim=0)[:, : x.size(1)].to(x.dtype).contiguous()


@triton.jit
def load_tile(x, row, rows, feature, width):
    """Load entries of a ``padded`` matrix, (row, feature); 0 beyond its ends."""
    entries = x + row.to(tl.int64)[:, None] * width + feature[None, :]
    return tl.load(entries, mask=(row < rows)[:, None] & (feature < width)[None, :], other=0.0)


@triton.jit
def product_tile(x, row, rows, y, column, columns, width, PRECISION: tl.constexpr, FEATURES: tl.constexpr):
    """Compute x_i . y_j for some rows of two ``padded`` matrices, float32."""
    products = tl.zeros((row.shape[0], column.shape[0]), tl.float32)
    for start in range(0, width, FEATURES):
        feature = start + tl.arange(0, FEATURES)
        one = load_tile(x, row, rows, feature, width)
        other = load_tile(y, column, columns, feature, width)
        if one.dtype != other.dtype:
            one, other = one.to(tl.float32), other.to(tl.float32)
        products = tl.dot(one, other.trans(), products, input_precision=PRECISION)
    return products
