"""Rows of sparse matrices: taken, and put together from batches, as in the dense matrix."""

from __future__ import annotations

import pytest
import torch

from graphkd.core.csr import sparse_rows, with_rows

LAYOUTS = ["to_sparse_coo", "to_sparse_csr", "to_sparse_csc"]


def matrix() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(9, 5, generator=generator) * (torch.rand(9, 5, generator=generator) < 0.4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_those_of_the_matrix(layout):
    x, ids = matrix(), torch.tensor([7, 0, 0, 3])
    assert torch.equal(sparse_rows(getattr(x, layout)(), ids).to_dense(), x[ids])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_batches_are_put_together_by_id(layout):
    """Of each batch the first rows count; a node that comes twice is there once, nodes of no batch are empty."""
    x, found = matrix(), None
    for ids, own in ((torch.tensor([4, 1, 8]), 2), (torch.tensor([1, 6]), 2), (torch.tensor([0]), 1)):
        found = with_rows(found, getattr(x[ids], layout)(), ids[:own], 9)
    want = torch.zeros(9, 5)
    want[[4, 1, 6, 0]] = x[[4, 1, 6, 0]]
    assert torch.equal(found.to_dense(), want)
