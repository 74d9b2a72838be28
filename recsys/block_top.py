"""The best items by blocks: an exact top-k in one pass over the scores."""

from __future__ import annotations

import torch
from torch import Tensor

_WORTH = 64  # blocks; with fewer, a top-k over all is as fast


def block_topk(scores: Tensor, k: int, block: int = 256) -> tuple[Tensor, Tensor]:
    """Find the k largest of each row as ``scores.topk(k)`` does, (B, I) -> values (B, k) and places (B, k).

    Exact: the best k of a row lie in those k blocks of ``block`` adjacent scores that have the k largest maxima, since
    each of these k blocks holds a score that no other block exceeds. One pass finds the maxima of the blocks; two small
    top-k follow, of the I / ``block`` maxima and of k · ``block`` scores. O(B (I + k · block)) time, and B (I / block +
    k · block) numbers of memory beside the scores. Of equal scores any may be returned, as by torch.

    scores: (B, I), without NaN. k: from 1 to I. block: at least 1. Raises ValueError for other values or shapes. Rows
    of at most 64 blocks, or of at most k blocks, are given to ``topk``, which is as fast there.

    Example::

        values, items = block_topk(users @ table, 20)  # table (d, I), whose product is written row by row
    """
    if scores.dim() != 2 or not 1 <= k <= scores.size(1):
        raise ValueError(
            f"'scores' must be (B, I) and 'k' from 1 to I, got {tuple(scores.shape)} and {k}: give at most all items"
        )
    if block < 1:
        raise ValueError(f"'block' must be at least 1, got {block}")
    blocks = scores.size(1) // block
    if blocks <= max(_WORTH, k):
        best = scores.topk(k)
        return best.values, best.indices
    whole = blocks * block
    by_block = scores[:, :whole].unflatten(1, (blocks, block))
    chosen = by_block.amax(dim=2).topk(k, sorted=False).indices
    near = by_block.gather(1, chosen[..., None].expand(-1, -1, block)).flatten(1)
    near = torch.cat([near, scores[:, whole:]], dim=1)  # the scores behind the last whole block
    values, place = near.topk(k)
    inside = place.clamp(max=k * block - 1)
    items = chosen.gather(1, inside // block) * block + inside % block
    return values, torch.where(place < k * block, items, place - k * block + whole)
