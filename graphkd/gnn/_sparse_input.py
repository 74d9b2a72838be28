"""A first layer on features that are mostly zeros: dropout and product on the stored entries alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.gnn._derived import kept
from graphkd.kernels import EdgeLayout, edge_spmm

_DENSE = 0.1  # share of entries other than 0 from which dense products are as fast


@dataclass(frozen=True)
class SparseRows:
    """The entries of a matrix (N, F) other than 0: values in row order, and where they stand.

    In ``layout`` a row is a target and a column a source.
    """

    values: Tensor
    layout: EdgeLayout


@kept
def sparse_rows(x: Tensor) -> SparseRows | None:
    """The entries of a matrix other than 0, or None where they are a tenth or more of all in one that is not sparse."""
    if x.layout != torch.strided:
        x = x.to_sparse_coo().coalesce()
        places, values = x.indices().t(), x.values()
    elif torch.count_nonzero(x) >= _DENSE * x.numel():
        return None
    else:
        places = x.nonzero()
        values = x[places[:, 0], places[:, 1]]
    row, column = places.int().t()
    by_column = column.argsort(stable=True)
    ptr, out_ptr = (_pointers(ids, size) for ids, size in zip((row, column), x.shape, strict=True))
    order = torch.arange(row.size(0), device=x.device)
    layout = EdgeLayout(ptr, column, row, order, out_ptr, row[by_column], by_column)
    return SparseRows(values, layout)


def _pointers(ids: Tensor, size: int) -> Tensor:
    return F.pad(torch.bincount(ids, minlength=size).cumsum(0), (1, 0)).int()


def dropout_linear(x: Tensor, weight: Tensor, p: float, training: bool) -> Tensor:
    """dropout(x) W': (N, F), (d, F) -> (N, d).

    Dropout of a zero is a zero: of sparse features that are not trained the stored entries alone are drawn and
    multiplied, O(d times their number) instead of O(N F d). The same distribution, not the same random numbers.
    """
    stored = None if x.requires_grad else sparse_rows(x)
    if stored is None:
        return F.linear(F.dropout(x, p, training), weight)
    return edge_spmm(F.dropout(stored.values, p, training), weight.t(), stored.layout)
