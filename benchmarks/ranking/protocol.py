"""How a recommender is judged: its quality by protocol, and what it costs to serve."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.measure import timed
from recsys import Split
from recsys.evaluate import draw_candidates, full_ranking, held_out, leave_one_out
from recsys.models import Recommender, frozen, tables_of
from recsys.retrieve import Retriever

_BLOCK = 128  # users that a model without tables scores at once


class Protocol:
    """How a model is judged: full ranking, or leave-one-out among 499 fixed candidates; quality by metric name."""

    def __init__(self, name: str, split: Split) -> None:
        self.name, self.split = name, split
        if name == "loo":
            self.candidates = draw_candidates(split.train.union(split.valid, split.test))
            self.targets = {part: held_out(pairs) for part, pairs in (("valid", split.valid), ("test", split.test))}

    def quality(self, model: Recommender, part: str = "test") -> dict[str, float]:
        """All metrics of a part of the split."""
        if self.name == "loo":
            other = "valid" if part == "test" else "test"
            return leave_one_out(model, self.targets[part], self.candidates, removed=self.targets[other])
        relevant = self.split.test if part == "test" else self.split.valid
        seen = [self.split.train, self.split.valid] if part == "test" else [self.split.train]
        cutoffs = (10,) if self.name == "ratio" else (10, 20, 50)
        return full_ranking(model, relevant, seen, [f"{kind}@{k}" for kind in ("ndcg", "recall") for k in cutoffs])

    def validate(self, model: Recommender) -> dict[str, float]:
        """The first metric of the protocol chooses the epoch; in leave-one-out all hits count for patience."""
        found = self.quality(model, "valid")
        watched = [name for name in found if name.startswith("hit@")] if self.name == "loo" else list(found)[:1]
        return {name: found[name] for name in watched}


def cost(model: Recommender) -> dict[str, float]:
    """Parameters, bytes of what serves (the tables, or all parameters), milliseconds for 20 items of 1,000 users.

    A model without tables scores all items for these users by itself.
    """
    users = torch.arange(1000) % model.num_users
    search: Callable[[], Any]
    if model.has_tables:
        tables = tables_of(model)
        served, search = list(tables.tables()), partial(Retriever(tables).users, users, 20)
    else:
        served, search = list(model.parameters()), partial(_best, model, users, 20)
    search()
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "embedding_bytes": sum(t.numel() * t.element_size() for t in served),
        "latency_ms": sorted(timed(search, 5))[2] * 1e3,
    }


def _best(model: Recommender, users: torch.Tensor, k: int) -> list[torch.Tensor]:
    with frozen(model) as fixed:
        return [fixed.score_items(part).topk(k, dim=1).indices for part in users.split(_BLOCK)]
