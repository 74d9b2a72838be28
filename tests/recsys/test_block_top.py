"""A top-k by blocks is that of all scores."""

from __future__ import annotations

import pytest
import torch

from recsys.block_top import block_topk


@pytest.mark.parametrize(
    ("rows", "items", "k", "block"),
    [
        (3, 1000, 20, 8),  # by blocks
        (3, 1003, 20, 8),  # with a rest
        (1, 517, 1, 4),
        (2, 400, 100, 3),  # more than 64 blocks, and more than k
        (4, 1000, 20, 256),  # few blocks: by topk
        (2, 1000, 900, 2),  # fewer blocks than k
        (0, 1000, 5, 8),
        (2, 5, 5, 256),
    ],
)
def test_it_is_exact(rows, items, k, block):
    scores = torch.randn(rows, items, generator=torch.Generator().manual_seed(0))
    values, found = block_topk(scores, k, block)
    wanted = scores.topk(k)
    assert torch.equal(values, wanted.values)
    assert torch.equal(found, wanted.indices)


def test_with_ties_the_values_are_the_largest_and_no_item_comes_twice():
    scores = torch.randint(3, (5, 2000), generator=torch.Generator().manual_seed(1)).float()
    scores[0] = 1.0
    scores[1] = -torch.inf
    scores[1, 1999] = 0.0  # in the rest behind the last block
    values, found = block_topk(scores, 30, 7)
    assert torch.equal(values, scores.topk(30).values)
    assert torch.equal(scores.gather(1, found), values)
    assert all(len(set(row)) == 30 for row in found.tolist())


def test_the_best_may_stand_in_one_block():
    scores = torch.zeros(1, 2000)
    scores[0, 160:168] = torch.arange(1.0, 9.0)
    assert block_topk(scores, 8, 8)[1][0].tolist() == list(range(167, 159, -1))


@pytest.mark.parametrize(
    ("shape", "k", "block", "match"),
    [
        ((3,), 1, 8, r"'scores' must be \(B, I\) and 'k' from 1 to I, got \(3,\) and 1"),
        ((2, 3), 4, 8, r"got \(2, 3\) and 4"),
        ((2, 3), 0, 8, r"got \(2, 3\) and 0"),
        ((2, 3), 1, 0, "'block' must be at least 1, got 0"),
    ],
)
def test_what_is_refused(shape, k, block, match):
    with pytest.raises(ValueError, match=match):
        block_topk(torch.zeros(shape), k, block)
