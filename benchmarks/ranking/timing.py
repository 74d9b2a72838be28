"""What rankings cost: seconds of training by its parts, and what serving takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.measure import timed
from recsys.data.batches import RankingBatches
from recsys.data.interactions import Interactions
from recsys.data.source import Source
from recsys.models import LightGNN, Recommender, frozen, tables_of
from recsys.retrieve import Retriever
from recsys.tasks import Ranking

_BLOCK = 128  # users that a model without tables scores at once


class Stopwatch:
    """Batches that keep the time of an epoch's parts, also over interruptions: making batches, validating, the rest."""

    def __init__(self, batches: RankingBatches) -> None:
        self.batches, self.started = batches, time.perf_counter()
        self.spent = {"seconds": 0.0, "sampling": 0.0, "validation": 0.0, "epochs": 0}

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        self.spent["epochs"] += 1
        batches, started = iter(self.batches), time.perf_counter()
        for batch in batches:
            self.spent["sampling"] += time.perf_counter() - started
            yield batch
            started = time.perf_counter()
        self._note()

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Pass on."""
        self.batches.set_epoch(epoch, epochs)

    def validate(self, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Measure a model, on the watch."""
        started = time.perf_counter()
        found = measure()
        self.spent["validation"] += time.perf_counter() - started
        self._note()
        return found

    def _note(self) -> None:
        now = time.perf_counter()
        self.spent["seconds"], self.started = self.spent["seconds"] + now - self.started, now

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on with."""
        return {"batches": self.batches.state_dict(), "spent": dict(self.spent)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on."""
        self.batches.load_state_dict(state["batches"])
        self.spent, self.started = dict(state["spent"]), time.perf_counter()

    def costs(self) -> dict[str, float]:
        """Seconds in all, and per epoch for sampling and for the gradient."""
        spent, epochs = self.spent, max(self.spent["epochs"], 1)
        gradient = spent["seconds"] - spent["sampling"] - spent["validation"]
        return {
            "train_seconds": spent["seconds"],
            "sampling_seconds": spent["sampling"] / epochs,
            "gradient_seconds": gradient / epochs,
            "epochs": spent["epochs"],
        }


@dataclass(frozen=True)
class TimedRanking(Ranking):
    """Rankings on a stopwatch; the last one is that of the last stage."""

    watches: list[Stopwatch] = field(default_factory=list)

    def batches(self, pairs: Interactions, sources: Mapping[str, Source]) -> Stopwatch:
        """Make the training batches, which keep their time."""
        self.watches.append(Stopwatch(super().batches(pairs, sources)))
        return self.watches[-1]

    def progress(self, model: nn.Module, data: Any, call: Any = None) -> dict[str, float]:
        """Measure a model on validation pairs, on the watch."""
        return self.watches[-1].validate(partial(super().progress, model, data, call))


def cost(model: Recommender) -> dict[str, float]:
    """Parameters, bytes of what serves (the tables, or all parameters), milliseconds for 20 items of 1,000 users.

    A model without tables scores all items for these users by itself. Of a LightGNN also the shares that are kept.
    """
    users, k = torch.arange(1000) % model.num_users, min(20, model.num_items)
    search: Callable[[], Any]
    if model.has_tables:
        tables = tables_of(model)
        served, search = list(tables.tables()), partial(Retriever(tables).users, users, k)
    else:
        served, search = list(model.parameters()), partial(_best, model, users, k)
    search()
    kept = model.kept() if isinstance(model, LightGNN) else ()
    return {
        **dict(zip(("edges_kept", "entries_kept"), kept, strict=False)),
        "parameters": sum(p.numel() for p in model.parameters()),
        "embedding_bytes": sum(t.numel() * t.element_size() for t in served),
        "latency_ms": sorted(timed(search, 5))[2] * 1e3,
    }


def _best(model: Recommender, users: torch.Tensor, k: int) -> list[torch.Tensor]:
    with frozen(model) as fixed:
        return [fixed.score_items(part).topk(k, dim=1).indices for part in users.split(_BLOCK)]
