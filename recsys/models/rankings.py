"""Rankings of a model in blocks: top lists of users and of items, cached in files."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphkd.core import checkpoint
from graphkd.core.fingerprint import fingerprint, model_fingerprint
from recsys.data.interactions import Interactions
from recsys.models.base import Recommender, check_model
from recsys.models.finite import check_finite
from recsys.models.tables import frozen

_log = logging.getLogger(__name__)


def top_items(
    model: Recommender,
    interactions: Interactions | None,
    k: int,
    *,
    block_users: int = 512,
    cache: str | Path | None = None,
) -> Tensor:
    """Rank the k items of highest score for every user, best first: (num_users, k) int32.

    interactions: pairs that are left out, usually the training pairs, along with the padding item if there is one; None
    lists all items. cache: a file for the lists; they are recomputed if it comes from another model, other pairs or
    other settings. O(U I d) time, ``block_users`` · I scores at a time. Raises ValueError for a user with fewer than k
    items left.
    """
    excluded = _checked(model, interactions)

    def make() -> Tensor:
        with frozen(model) as fixed:
            return _top(fixed.score_items, excluded, model.num_users, model.num_items, k, block_users, "user")

    return kept_lists(cache, {"what": "top items", "k": k}, model, interactions, make)


def top_users(
    model: Recommender,
    interactions: Interactions | None,
    k: int,
    *,
    block_items: int = 512,
    cache: str | Path | None = None,
) -> Tensor:
    """Rank the k users of highest score for every item: (num_items, k) int32, best first; see ``top_items``."""
    excluded = tuple(pairs.transpose() for pairs in _checked(model, interactions))

    def make() -> Tensor:
        with frozen(model) as fixed:
            return _top(fixed.score_users, excluded, model.num_items, model.num_users, k, block_items, "item")

    return kept_lists(cache, {"what": "top users", "k": k}, model, interactions, make)


def _checked(model: Recommender, interactions: Interactions | None) -> tuple[Interactions, ...]:
    if interactions is None:
        return ()
    check_model(model, interactions)
    return (interactions,)


def kept_lists(
    path: str | Path | None,
    key: dict[str, Any],
    model: Recommender,
    interactions: Interactions | None,
    make: Callable[[], Any],
) -> Any:
    """Return the lists of ``make``, or read them from a file made from the same model, pairs and settings."""
    if path is None:
        return make()
    pairs = None if interactions is None else (interactions.ptr, interactions.items, interactions.padding)
    key = {**key, "model": model_fingerprint(model), "pairs": fingerprint(pairs)}
    text = json.dumps(key, sort_keys=True)
    if Path(path).is_file():
        kept = checkpoint.load(path)
        if isinstance(kept, Mapping) and kept.get("key") == text:
            return kept["lists"]
        _log.warning("%s was made from another model, other pairs or settings than these: it is made anew", path)
    lists = make()
    checkpoint.save({"key": text, "lists": lists}, path)
    return lists


def masked_scores(
    scores: Callable[[Tensor], Tensor], users: Tensor, *excluded: Interactions, kept: Interactions | None = None
) -> Tensor:
    """Score all items for some users, (B,) -> (B, I); pairs and padding of ``excluded`` get minus infinity.

    scores: a recommender's ``score_items``. kept: pairs that keep their scores though they are in ``excluded``. To
    score users, exchange the roles: ``users`` are items, and the sets are transposed. Raises ValueError for scores that
    are not finite.
    """
    sets = excluded if kept is None else (*excluded, kept)
    block = _block(scores(users), users, sets)
    held = (users.new_empty(0), users.new_empty(0)) if kept is None else kept.of(users)
    values = block[held]
    for pairs in excluded:
        block[pairs.of(users)] = -torch.inf
    block[held] = values
    if any(pairs.padding for pairs in sets):
        block[:, 0] = -torch.inf
    return block


def _block(found: Tensor, users: Tensor, sets: Sequence[Interactions]) -> Tensor:
    """Copy a block of scores and check that they are finite, except those of placeholders (id 0 of padded sets).

    A model may return a view of its own memory, one row for all users, or integers.
    """
    size = sets[0].num_items if sets else found.size(-1)
    if found.shape != (len(users), size):
        raise ValueError(
            f"'score_items' must give a score of every item, {(len(users), size)}, got {tuple(found.shape)}"
        )
    wider = (
        found if found.is_floating_point() else found.to(torch.float32 if found.dtype.itemsize < 3 else torch.float64)
    )

    def nobody() -> Tensor:
        first = (users == 0).to(found.device)[:, None], torch.arange(size, device=found.device) == 0
        return (first[0] | first[1]) & any(pairs.padding for pairs in sets)

    check_finite(wider, "'model' must give finite scores", nobody)
    return wider.clone(memory_format=torch.contiguous_format)


def _top(
    scores: Callable[[Tensor], Tensor],
    excluded: tuple[Interactions, ...],
    rows: int,
    columns: int,
    k: int,
    block: int,
    one: str,
) -> Tensor:
    if not 1 <= k <= columns:
        raise ValueError(f"'k' must be from 1 to {columns}, got {k}")
    tables = []
    for ids in row_ids(rows, excluded).split(block):
        best = masked_scores(scores, ids, *excluded).topk(k, dim=1)
        short = best.values[:, -1] == -torch.inf
        if bool(short.any()):
            rows_left = ids[short.to(ids.device)], (best.values[short] > -torch.inf).sum(dim=1)
            raise ValueError(_too_few(k, one, *(each.tolist() for each in rows_left)))
        tables.append(best.indices.int().to(ids.device))
    return torch.cat(tables)


def _too_few(k: int, one: str, rows: list[int], left: list[int]) -> str:
    named = ", ".join(f"{one} {row} has {number} left" for row, number in list(zip(rows, left, strict=True))[:3])
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return (
        f"'k' must be at most what is not excluded, got {k}, but {named}{more}: give a smaller 'k', or leave "
        f"out every {one} that has nearly everything"
    )


def row_ids(rows: int, excluded: tuple[Interactions, ...]) -> Tensor:
    """Return the ids of all rows, on the device of the excluded pairs."""
    return torch.arange(rows, device=excluded[0].ptr.device if excluded else "cpu")
