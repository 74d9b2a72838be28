"""Matrices in torch's CSR layout."""

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


@functools.cache
def _no_beta_warning() -> None:
    with warnings.catch_warnings():  # torch says once a process that CSR is in beta
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor([0, 0], [], [], (1, 1), dtype=torch.float32)
