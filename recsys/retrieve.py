"""Deployment: a student's tables in a file, and the exact best items of users from them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recsys.interactions import Interactions, Split, check_ids
from recsys.models import Recommender, Tables, check_model, tables_of


@dataclass(frozen=True)
class Exported:
    """What ``export`` wrote: the tables, and the original ids of their rows where they were known."""

    tables: Tables
    user_tokens: tuple[str, ...] | None = None
    item_tokens: tuple[str, ...] | None = None


def export(model: Recommender, path: str | Path, split: Split | None = None) -> None:
    """Write a model's tables to a safetensors file, atomically: ``user`` (U, d), ``item`` (I, d), and what is served.

    split: where the original ids come from. Experts, gates and graphs stay behind: inner products of the tables are the
    model's scores. TypeError for a model without tables.
    """
    from safetensors.torch import save_file

    tables, path = tables_of(model), Path(path)
    tensors = {name: table.contiguous().cpu() for name, table in tables.state_dict().items()}
    tokens = {} if split is None else {"user_tokens": split.user_tokens, "item_tokens": split.item_tokens}
    for name, size in (("user_tokens", model.num_users), ("item_tokens", model.num_items)):
        known = tokens.get(name)
        if known is not None and len(known) != size:
            raise ValueError(f"'split' must name {size} rows in its {name}, got {len(known)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        save_file(tensors, partial, {name: json.dumps(known) for name, known in tokens.items() if known is not None})
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)


def load_export(path: str | Path) -> Exported:
    """Read what ``export`` wrote; ValueError if the file does not hold the two tables."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        missing = sorted({"user", "item"} - set(file.keys()))
        if missing:
            raise ValueError(f"{str(path)!r} must hold the tables 'user' and 'item', but lacks {missing}")
        tables = Tables(file.get_tensor("user"), file.get_tensor("item"))
        known = {name: tuple(json.loads(text)) for name, text in (file.metadata() or {}).items() if "_tokens" in name}
    return Exported(tables, known.get("user_tokens"), known.get("item_tokens"))


class Best(NamedTuple):
    """The items of highest score for each query, best first: (B, k) int64, and their scores (B, k)."""

    items: Tensor
    scores: Tensor


class Retriever:
    """The exact best items of users or of any query vectors, by blocks of queries and of items.

    seen: pairs that are not recommended again, and whose padding item never is. O(B I d) time,
    ``block_queries`` · ``block_items`` scores at a time.
    """

    def __init__(
        self,
        tables: Tables,
        seen: Interactions | None = None,
        *,
        block_queries: int = 1024,
        block_items: int = 16384,
    ) -> None:
        if seen is not None:
            check_model(tables, seen)
        self.tables, self.seen = tables, seen
        self.block_queries, self.block_items = block_queries, block_items

    @torch.no_grad()
    def users(self, users: Tensor, k: int) -> Best:
        """The best k items of users, (B,), without those they have seen; ValueError where fewer than k are left."""
        check_ids("users", users, self.tables.num_users)
        blocks = users.split(self.block_queries)
        return _joined([self._best(self.tables.user[block], k, block) for block in blocks])

    @torch.no_grad()
    def queries(self, queries: Tensor, k: int) -> Best:
        """The best k items of query vectors, (B, d)."""
        return _joined([self._best(block, k, None) for block in queries.split(self.block_queries)])

    def _best(self, queries: Tensor, k: int, users: Tensor | None) -> Best:
        if not 1 <= k <= self.tables.num_items:
            raise ValueError(f"'k' must be from 1 to {self.tables.num_items}, the number of items, got {k}")
        taken = None if users is None or self.seen is None else self.seen.of(users)
        found: Best | None = None
        for start in range(0, self.tables.num_items, self.block_items):
            scores = queries @ self.tables.item[start : start + self.block_items].T
            if taken is not None:
                inside = (taken[1] >= start) & (taken[1] < start + scores.size(1))
                scores[taken[0][inside], taken[1][inside] - start] = -torch.inf
            if start == 0 and self.seen is not None and self.seen.padding:
                scores[:, 0] = -torch.inf
            best = scores.topk(min(k, scores.size(1)), dim=1)
            found = _merged(found, Best(best.indices + start, best.values), k)
        assert found is not None
        if bool((found.scores[:, -1] == -torch.inf).any()):
            raise ValueError(f"every user must have k = {k} items that were not seen, some have fewer")
        return found


def faiss_index(tables: Tables) -> Any:
    """A FAISS index of exact inner products over the items; ``index.search(users.numpy(), k)`` as FAISS has it.

    ImportError that names the package where FAISS is missing. Seen items are not left out.
    """
    try:
        import faiss
    except ImportError as error:
        raise ImportError("a FAISS index needs the package faiss-cpu (or faiss-gpu): pip install faiss-cpu") from error
    index = faiss.IndexFlatIP(tables.item.size(1))
    index.add(tables.item.detach().float().cpu().contiguous().numpy())
    return index


def _joined(parts: Sequence[Best]) -> Best:
    return Best(torch.cat([part.items for part in parts]), torch.cat([part.scores for part in parts]))


def _merged(found: Best | None, more: Best, k: int) -> Best:
    if found is None:
        return more
    scores, items = torch.cat([found.scores, more.scores], dim=1), torch.cat([found.items, more.items], dim=1)
    best = scores.topk(min(k, scores.size(1)), dim=1)
    return Best(items.gather(1, best.indices), best.values)
