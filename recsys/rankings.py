"""Rankings of a model in blocks: top lists of users and of items, within popularity groups, kept on disk."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from graphkd.core import checkpoint
from recsys.interactions import Interactions
from recsys.models import Recommender, check_model, frozen

_log = logging.getLogger(__name__)


def top_items(
    model: Recommender,
    interactions: Interactions | None,
    k: int,
    *,
    block_users: int = 512,
    cache: str | Path | None = None,
) -> Tensor:
    """The k items of highest score of every user, best first: (num_users, k) int32.

    interactions: pairs that are not listed, the training pairs as a rule, and the padding item if it has one; None
    lists all items. cache: a file that keeps the lists; it is made anew if it came from another model or other pairs.
    O(U I d) time, ``block_users`` · I scores at a time. ValueError for a user with fewer than k items left.
    """
    excluded = _checked(model, interactions)

    def make() -> Tensor:
        with frozen(model) as fixed:
            return _top(fixed.score_items, excluded, model.num_users, model.num_items, k, block_users)

    return _kept(cache, {"what": "top items", "k": k}, model, interactions, make)


def top_users(
    model: Recommender,
    interactions: Interactions | None,
    k: int,
    *,
    block_items: int = 512,
    cache: str | Path | None = None,
) -> Tensor:
    """The k users of highest score of every item, best first: (num_items, k) int32; otherwise as ``top_items``."""
    excluded = tuple(pairs.transpose() for pairs in _checked(model, interactions))

    def make() -> Tensor:
        with frozen(model) as fixed:
            return _top(fixed.score_users, excluded, model.num_items, model.num_users, k, block_items)

    return _kept(cache, {"what": "top users", "k": k}, model, interactions, make)


class GroupLists(NamedTuple):
    """The best items of every user in every group.

    items (U, G, m) int32, best first; lengths (U, G) int64: how many of the m are listed, the rest repeats the first.
    """

    items: Tensor
    lengths: Tensor


def top_per_group(
    model: Recommender,
    interactions: Interactions,
    group: Tensor,
    m: int,
    *,
    block_users: int = 512,
    cache: str | Path | None = None,
) -> GroupLists:
    """The m items of highest score among those of each group that a user has not in ``interactions``.

    group: (num_items,) int64 from ``popularity_groups``, -1 for none. UnKD's code has m = 1000; with rank weights
    exp(-(r+1)/mu) a list of 10 mu misses a mass of e^-10. O(U I d) once, (U, G, m) int32 kept.
    """
    check_model(model, interactions)
    members = [(group == g).nonzero().squeeze(1) for g in range(int(group.max()) + 1)]

    def make() -> dict[str, Tensor]:
        users = _ids(model.num_users, (interactions,)).split(block_users)
        with frozen(model) as fixed:
            blocks = [_group_block(masked_scores(fixed.score_items, each, interactions), members, m) for each in users]
        return {"items": torch.cat([b.items for b in blocks]), "lengths": torch.cat([b.lengths for b in blocks])}

    key = {"what": "top per group", "m": m, "group": fingerprint(group)}
    return GroupLists(**_kept(cache, key, model, interactions, make))


def popularity_groups(items: Tensor, num_items: int, groups: int) -> Tensor:
    """UnKD's groups of about equal popularity (Chen et al., WSDM 2023): group of every item, (num_items,) int64.

    items: the items of the training pairs in their order. Items go by count, descending, ties by first appearance;
    the item with which a group would exceed a share 1/``groups`` of all pairs opens the next one, and a last group of
    at most half a share joins the one before. Items without a pair have group -1; there may be more or fewer groups.
    """
    if groups < 1:
        raise ValueError(f"'groups' must be at least 1, got {groups}")
    counts = torch.bincount(items, minlength=num_items).tolist()
    seen = list(dict.fromkeys(items.tolist()))
    share = len(items) / groups
    parts: list[list[int]] = [[]]
    total = 0
    for item in sorted(seen, key=lambda item: -counts[item]):
        if total + counts[item] > share and parts[-1]:
            parts.append([])
            total = 0
        parts[-1].append(item)
        total += counts[item]
    if len(parts) > 1 and total <= share / 2:
        last = parts.pop()
        parts[-1] += last
    group = torch.full((num_items,), -1, dtype=torch.long)
    for number, members in enumerate(parts):
        group[members] = number
    return group


def pairs_per_group(group: Tensor, counts: Tensor, total: int, power: float = 0.0) -> tuple[list[int], Tensor, Tensor]:
    """UnKD's number of pairs of each group, its shares (G,) and the shares before the power, float64.

    counts: training pairs of every item. share_g ~ (max + min of the mean popularity) - mean popularity of g, rounded
    to two decimals and at least 0.1, then to the ``power`` and normalised: 0, the authors' default, gives equal shares.
    Numbers are rounded half to even; where the sum falls short of ``total`` the first groups get one more.
    """
    size = int(group.max()) + 1
    mean = torch.stack([counts[group == g].double().mean() for g in range(size)])
    base = mean.max() + mean.min() - mean
    base = torch.tensor([max(round(float(x), 2), 0.1) for x in base / base.sum()], dtype=torch.float64)
    share = base**power / (base**power).sum()
    numbers = [round(float(x) * total) for x in share]
    for number in range(min(max(total - sum(numbers), 0), size)):
        numbers[number] += 1
    return numbers, share, base


def fingerprint(*tensors: Tensor) -> str:
    """A digest of the values, shapes and types of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _checked(model: Recommender, interactions: Interactions | None) -> tuple[Interactions, ...]:
    if interactions is None:
        return ()
    check_model(model, interactions)
    return (interactions,)


def _kept(
    path: str | Path | None,
    key: dict[str, Any],
    model: Recommender,
    interactions: Interactions | None,
    make: Callable[[], Any],
) -> Any:
    """What ``make`` returns, from the file if that was made of the same model, pairs and settings."""
    if path is None:
        return make()
    pairs = () if interactions is None else (interactions.ptr, interactions.items, torch.tensor(interactions.padding))
    state = [tensor for _, tensor in sorted({**model.state_dict()}.items())]
    key = {**key, "model": [type(model).__qualname__, fingerprint(*state)], "pairs": fingerprint(*pairs)}
    text = json.dumps(key, sort_keys=True)
    if Path(path).is_file():
        kept = checkpoint.load(path)
        if isinstance(kept, Mapping) and kept.get("key") == text:
            return kept["lists"]
        _log.warning("%s was made from another model, other pairs or settings than these: it is made anew", path)
    lists = make()
    checkpoint.save({"key": text, "lists": lists}, path)
    return lists


def masked_scores(scores: Callable[[Tensor], Tensor], users: Tensor, *excluded: Interactions) -> Tensor:
    """Scores of all items for some users, (B,) -> (B, I), minus infinity for the pairs and the padding of ``excluded``.

    scores: a recommender's ``score_items``. With the roles exchanged, ``users`` are items and ``excluded`` transposed.
    """
    block = scores(users)
    for pairs in excluded:
        block[pairs.of(users)] = -torch.inf
        if pairs.padding:
            block[:, 0] = -torch.inf
    return block


def _top(
    scores: Callable[[Tensor], Tensor], excluded: tuple[Interactions, ...], rows: int, columns: int, k: int, block: int
) -> Tensor:
    if not 1 <= k <= columns:
        raise ValueError(f"'k' must be from 1 to {columns}, got {k}")
    tables = []
    for ids in _ids(rows, excluded).split(block):
        best = masked_scores(scores, ids, *excluded).topk(k, dim=1)
        short = (best.values[:, -1] == -torch.inf).nonzero()
        if short.numel():
            row = int(ids[int(short[0, 0])])
            raise ValueError(f"'k' must be at most what is not excluded, but row {row} has fewer than {k} left")
        tables.append(best.indices.int().to(ids.device))
    return torch.cat(tables)


def _ids(rows: int, excluded: tuple[Interactions, ...]) -> Tensor:
    return torch.arange(rows, device=excluded[0].ptr.device if excluded else "cpu")


def _group_block(scores: Tensor, members: list[Tensor], m: int) -> GroupLists:
    items, lengths = [], []
    for ids in members:
        best = scores[:, ids].topk(min(m, ids.size(0)), dim=1)
        length = (best.values > -torch.inf).sum(dim=1).to(ids.device)
        found = ids[best.indices.to(ids.device)]
        missing = torch.arange(found.size(1), device=found.device) >= length[:, None]
        found = torch.where(missing, found[:, :1], found)
        items.append(torch.cat([found, found[:, :1].expand(-1, m - found.size(1))], dim=1).int())
        lengths.append(length)
    return GroupLists(torch.stack(items, dim=1), torch.stack(lengths, dim=1))
