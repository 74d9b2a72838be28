"""Rows cut into chunks."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels.cuda import chunks
from graphkd.kernels.cuda.chunks import row_chunks
from tests.kernels.graphs import QUICK


@QUICK
@given(degrees=st.lists(st.integers(0, 20), min_size=1, max_size=12), length=st.integers(1, 8))
def test_chunks_cover_every_row_once(degrees: list[int], length: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "LENGTH", length)
        ptr = torch.tensor([0, *degrees]).cumsum(0).int()
        got = row_chunks(ptr)
    rows: list[list[int]] = [[] for _ in degrees]
    for row, start in zip(got.row.tolist(), got.start.tolist(), strict=True):
        rows[row] += range(start, min(start + length, int(ptr[row + 1])))
    assert rows == [list(range(a, b)) for a, b in pairwise(ptr.tolist())]
    long = [row for row, degree in enumerate(degrees) if degree > length]
    assert got.long_row.tolist() == long
    for row, first, last in zip(long, got.long_ptr[:-1].tolist(), got.long_ptr[1:].tolist(), strict=True):
        assert got.slot[got.row == row].tolist() == list(range(first, last))
    assert got.slots == got.long_ptr[-1] == (got.slot >= 0).sum()


def test_chunks_are_kept_until_the_pointers_change() -> None:
    ptr = torch.tensor([0, 3, 1000], dtype=torch.int32)
    first = row_chunks(ptr)
    assert row_chunks(ptr) is first
    ptr[2] = 4
    assert row_chunks(ptr).row.tolist() == [0, 1]
    with torch.inference_mode():
        assert row_chunks(torch.tensor([0, 2], dtype=torch.int32)).row.tolist() == [0]
