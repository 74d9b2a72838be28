"""Datasets, models and costs of the benchmark of sequential recommenders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.measure import timed
from benchmarks.ranking.timing import Stopwatch
from recsys.data import SequenceSplit
from recsys.data.sequence_batches import By
from recsys.data.sequence_rows import SequenceRows
from recsys.data.source import Source
from recsys.models import BERT4Rec, GRU4Rec, SASRec, SequentialRecommender
from recsys.tasks import Sequential

_WIDE = 32  # from this width on SASRec and BERT4Rec have two layers and two heads, below one of each

# What is usual for a dataset where the command line says nothing: how rows are cut and judged, and the softmax.
PROTOCOLS: Mapping[str, Mapping[str, Any]] = {
    "toys": {"max_length": 20, "seen": "left_out", "negatives": 1000, "batch_size": 256},
    "yelp": {"max_length": 20, "seen": "left_out", "negatives": 1000, "batch_size": 256},
    "ml-100k": {"max_length": 50, "seen": "ranked", "negatives": 0, "batch_size": 32},
}

MODELS: Mapping[str, Callable[..., SequentialRecommender]] = {
    "sasrec": lambda split, width, dropout: _sasrec(split, width, dropout),
    "gru4rec": lambda split, width, dropout: GRU4Rec(
        split.num_items, width, max_length=split.max_length, dropout=dropout
    ),
    "bert4rec": lambda split, width, dropout: BERT4Rec(split.num_items, width, dropout=dropout, **_shape(split, width)),
}


def _sasrec(split: SequenceSplit, width: int, dropout: float) -> SASRec:
    return SASRec(split.num_items, width, dropout=dropout, **_shape(split, width))


def _shape(split: SequenceSplit, width: int) -> dict[str, int]:
    count = 2 if width >= _WIDE else 1
    return {"max_length": split.max_length, "layers": count, "heads": count}


def check_model(text: str) -> tuple[str, int]:
    """Read NAME:WIDTH; ValueError that names the models for another text."""
    name, _, width = text.partition(":")
    if name not in MODELS or not width.isdigit() or int(width) < 1:
        raise ValueError(f"a model is NAME:WIDTH with a name of {sorted(MODELS)}, got {text!r}")
    return name, int(width)


def build(text: str, split: SequenceSplit, dropout: float) -> SequentialRecommender:
    """The model NAME:WIDTH for the items and lengths of a split."""
    name, width = check_model(text)
    return MODELS[name](split, width, dropout)


@dataclass(frozen=True)
class TimedSequential(Sequential):
    """Sequences on a stopwatch; the last one is that of the last stage."""

    watches: list[Stopwatch] = field(default_factory=list)

    def batches(self, rows: SequenceRows, sources: Mapping[str, Source], by: By) -> Stopwatch:
        """Make the training batches, which keep their time."""
        self.watches.append(Stopwatch(super().batches(rows, sources, by)))
        return self.watches[-1]

    def progress(self, model: nn.Module, data: Any, call: Any = None) -> dict[str, float]:
        """Measure a model on validation rows, on the watch."""
        return self.watches[-1].validate(partial(super().progress, model, data, call))


def cost(model: SequentialRecommender, split: SequenceSplit) -> dict[str, float]:
    """Parameters, their bytes, milliseconds for 20 items of 1,000 histories."""
    histories = split.test.histories(torch.arange(1000) % len(split.test))

    @torch.no_grad()
    def search() -> Any:
        return model(*histories).topk(20, dim=1)

    model.eval()
    search()
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "embedding_bytes": sum(p.numel() * p.element_size() for p in model.parameters()),
        "latency_ms": sorted(timed(search, 5))[2] * 1e3,
    }
