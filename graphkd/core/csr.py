"""Matrices in torch's CSR layout, and rows and columns of matrices in any sparse layout."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor


def csr(ptr: Tensor, index: Tensor, values: Tensor, shape: Sequence[int]) -> Tensor:
    """Make a CSR matrix whose row i has the entries from ``ptr[i]`` on, in columns ``index``; nothing is checked."""
    _no_beta_warning()
    return torch.sparse_csr_tensor(ptr, index, values, tuple(shape), check_invariants=False)


def sparse_rows(matrix: Tensor, ids: Tensor) -> Tensor:
    """Take rows of a matrix in a sparse layout: (N, F), (n,) -> (n, F), in COO if it is in COO, else in CSR."""
    found = matrix.to_sparse_coo().index_select(0, ids).coalesce()
    if matrix.layout == torch.sparse_coo:
        return found
    _no_beta_warning()
    return found.to_sparse_csr()


def weigh_columns(x: Tensor, weights: Tensor) -> Tensor:
    """Multiply each column of a matrix of any layout by its weight, in that layout: (N, F), (F,) -> (N, F)."""
    if x.layout == torch.strided:
        return x * weights
    entries = x.to_sparse_coo().coalesce()
    values = entries.values() * weights[entries.indices()[1]]
    return torch.sparse_coo_tensor(entries.indices(), values, x.shape, is_coalesced=True).to_sparse(layout=x.layout)


def with_rows(found: Tensor | None, part: Tensor, ids: Tensor, rows: int) -> Tensor:
    """Put the first rows of ``part``, one for each of ``ids``, into a sparse matrix of ``rows`` rows, new if None: COO.

    The rows that are put in must be empty, or hold the same.
    """
    entries = part.to_sparse_coo().coalesce()
    place, column = entries.indices()
    own = place < ids.numel()
    index = torch.stack([ids[place[own]], column[own]])
    added = torch.sparse_coo_tensor(index, entries.values()[own], (rows, part.size(1)), check_invariants=False)
    if found is None:
        return added.coalesce()
    kept = ~torch.isin(found.indices()[0], ids)
    indices = torch.cat([found.indices()[:, kept], index], dim=1)
    values = torch.cat([found.values()[kept], added._values()])
    return torch.sparse_coo_tensor(indices, values, found.shape, check_invariants=False).coalesce()


@functools.cache
def _no_beta_warning() -> None:
    with warnings.catch_warnings():  # torch says once a process that CSR is in beta
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor([0, 0], [], [], (1, 1), dtype=torch.float32)
