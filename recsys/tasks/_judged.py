"""Evaluation of rankings: all items ranked, drawn candidates, one held-out item, or labelled rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from typing import Protocol as Form
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from graphkd.core.task import Part
from recsys.data.interactions import Interactions, Split
from recsys.data.labelled import LabelledRows
from recsys.data.negatives import Negatives
from recsys.evaluate.candidates import Candidates, drawn_candidates, read_mode
from recsys.evaluate.predictions import VALUES, prediction_values
from recsys.evaluate.ranked import Ties, read_ranking_names
from recsys.evaluate.ranking import draw_candidates, full_ranking, held_out, leave_one_out
from recsys.evaluate.sampled import predicted_values, sampled_ranking
from recsys.models.base import Recommender

Protocol = str | Mapping[str, str]
RANKED = ("ndcg@10", "recall@10")
USUAL: Mapping[str, tuple[str, ...]] = {
    "leave_one_out": tuple(f"{kind}@{k}" for k in (5, 10, 20) for kind in ("hit", "ndcg", "mrr")),
    "labeled": ("auc", "logloss"),
}
_SMALLER = ("averagepopularity", "giniindex", "logloss", "mae", "rmse")  # metrics that are better when smaller
_FIXED: WeakKeyDictionary[Interactions, dict[Any, Any]] = WeakKeyDictionary()  # drawn once, by training pairs


class Judging(Form):
    """Describe how a task evaluates; see ``Ranking``."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """List the metrics."""

    @property
    def modes(self) -> Mapping[str, str]:
        """Return the protocol of each part."""

    @property
    def repeatable(self) -> bool:
        """Tell whether users may be recommended items that they already have."""

    @property
    def tail(self) -> float:
        """Return the limit of the long tail, RecBole's ``tail_ratio``."""

    @property
    def ties(self) -> Ties:
        """Return how equal scores count."""

    @property
    def seed(self) -> int | None:
        """Return the seed of drawn candidates."""

    @property
    def negatives(self) -> Negatives:
        """Return the training negatives, whose ``alpha`` also applies to candidates drawn by popularity."""


def modes_of(protocol: Protocol) -> dict[str, str]:
    """Read the protocols of validation and test, by "val" and "test"; ValueError for an invalid one."""
    if isinstance(protocol, Mapping):
        if not set(protocol) <= {"valid", "test"} or not protocol:
            raise ValueError(f"'protocol' must be one for all, or of 'valid' and of 'test', got {dict(protocol)!r}")
        first = next(iter(protocol.values()))
        found = {"val": protocol.get("valid", first), "test": protocol.get("test", first)}
    else:
        found = {"val": protocol, "test": protocol}
    for mode in found.values():
        if mode not in ("full", "leave_one_out", "labeled"):
            try:
                read_mode(mode)
            except (ValueError, TypeError):
                raise ValueError(
                    "'protocol' must be 'full', 'leave_one_out', 'labeled', or 'uniN' or 'popN' with a number, as "
                    f"'uni100', got {mode!r}"
                ) from None
    return found


def check_metrics(names: Sequence[str], modes: Mapping[str, str]) -> tuple[str, ...]:
    """Return the metrics in lower case; ValueError for metrics that do not fit the protocols."""
    names = tuple(name.lower() for name in names)
    values = [name for name in names if name in VALUES]
    if values and len(values) < len(names):
        others = [name for name in names if name not in VALUES]
        raise ValueError(f"'metrics' must be of rankings or of values, got both: {values} and {others}")
    for mode in modes.values():
        if values and mode in ("full", "leave_one_out"):
            raise ValueError(f"{values} are of labels: give 'uniN', 'popN' or 'labeled', got {mode!r}")
        others = [name for name in names if name.partition("@")[0] not in ("hit", "ndcg", "mrr")]
        if mode == "leave_one_out" and others:
            raise ValueError(f"leave_one_out has hit, ndcg and mrr at a cutoff, one item being relevant, got {others}")
        if not values and mode == "labeled":
            raise ValueError(f"'labeled' rows are no rankings: give metrics of {list(VALUES)}, got {list(names)}")
    if not values:
        read_ranking_names(names)
    return names


def is_smaller_better(name: str) -> bool:
    """Tell whether a metric is better when smaller."""
    return name.partition("@")[0] in _SMALLER


def judged(task: Judging, model: Recommender, data: Split, part: Part) -> dict[str, float]:
    """Measure all metrics of a task for a model on a part of a split."""
    mode = task.modes[part]
    if mode == "leave_one_out":
        return _left_out(task, model, data, part)
    if mode == "labeled":
        rows = _rows_of(data, part)
        return prediction_values(predicted_values(model, rows.users, rows.items), rows.labels, task.wanted)
    further: dict[str, Any] = {"popularity": _taken(data.train), "tail": task.tail, "ties": task.ties}
    if mode == "full":
        seen: list[Interactions] = [] if task.repeatable else [data.train, data.valid][: 1 + (part == "test")]
        return full_ranking(model, part_of(data, part), seen, task.wanted, **further)
    drawn = _drawn(task, data, part, mode)
    if task.wanted[0] in VALUES:
        return prediction_values(
            predicted_values(model, drawn.users, drawn.items), drawn.positive.double(), task.wanted
        )
    return sampled_ranking(model, drawn, task.wanted, **further)


def part_of(split: Split, part: str) -> Interactions:
    """Return the held-out pairs of a part."""
    return split.test if part == "test" else split.valid


def _rows_of(data: Split, part: str) -> LabelledRows:
    rows = getattr(data, "test_rows" if part == "test" else "valid_rows", None)
    if rows is None:
        raise ValueError(
            "'labeled' measures rows with labels, and the split has none: give a recsys.data.labelled.LabelledSplit, "
            "or load data with a label or a 'threshold' by recsys.bridge"
        )
    return rows


def _left_out(task: Judging, model: Recommender, data: Split, part: str) -> dict[str, float]:
    cutoffs = sorted({int(number) for name in task.wanted for number in re.findall(r"@(\d+)$", name)})
    targets, removed = (held_out(part_of(data, each)) for each in (part, "val" if part == "test" else "test"))
    candidates = _once(data, "left out", lambda: draw_candidates(data.train.union(data.valid, data.test)))
    found = leave_one_out(model, targets, candidates, removed=removed, cutoffs=cutoffs)
    return {name: found[name] for name in task.wanted}


def _drawn(task: Judging, data: Split, part: str, mode: str) -> Candidates:
    """Return the candidates of a part, drawn once for a seed."""
    parts = [data.train, data.valid, *([data.test] if part == "test" else [])]

    def draw() -> Candidates:
        known = None if task.repeatable else parts[0].union(*parts[1:])
        popularity = None
        if mode.startswith("pop"):
            counts = _taken(data.train.union(data.valid, data.test)).double()
            popularity = torch.where(counts > 0, counts.pow(task.negatives.alpha), 0.0)
        return drawn_candidates(part_of(data, part), known, mode, popularity=popularity, seed=task.seed)

    if task.seed is None:
        return draw()
    key = (mode, part, task.repeatable, task.negatives.alpha, task.seed)
    found: Candidates = _once(data, key, draw)
    return found


def _taken(pairs: Interactions) -> Tensor:
    """Count how often every item was taken."""
    return torch.bincount(pairs.events()[1], minlength=pairs.num_items)


def _once(data: Split, key: Any, make: Any) -> Any:
    """Compute a value once for a split, and cache it for the lifetime of its training pairs."""
    kept = _FIXED.setdefault(data.train, {})
    key = (key, id(data.valid), id(data.test))
    if key not in kept:
        kept[key] = (make(), data.valid, data.test)  # references that keep their ids in use
    return kept[key][0]
