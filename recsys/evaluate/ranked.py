"""RecBole's ranking metrics of ranked lists, summed over blocks of users."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from recsys.evaluate.grouped_auc import user_aucs
from recsys.evaluate.measures import METRICS, hits_of
from recsys.evaluate.spread import OF_POPULARITY, SPREADS, tail_of

Ties = Literal["against", "sorted"]
GAUC = "gauc"


def read_ranking_names(names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Read names such as "recall@10", in either case: kind and cutoff of each, 0 for "gauc", which has none.

    Raises ValueError for an unknown name, and where there is no name.
    """
    if isinstance(names, str):
        names = (names,)
    found: dict[str, tuple[str, int]] = {}
    for name in map(str.lower, names):
        kind, at, number = name.partition("@")
        cut = at and number.isdecimal() and int(number) >= 1
        if name != GAUC and not (cut and (kind in METRICS or kind in SPREADS)):
            raise ValueError(
                f"'metrics' must be some of {[*METRICS, *SPREADS, GAUC]}, all but {GAUC!r} at a cutoff, as "
                f"'recall@10', got {name!r}"
            )
        found[name] = kind, int(number or 0)
    if not found:
        raise ValueError("'metrics' must name at least one, got none")
    return found


class Ranked:
    """Sums of all metrics over blocks of users; only the sums are stored.

    popularity: (I,) training events of every item, for "averagepopularity" and "tailpercentage". tail: see ``tail_of``.
    ties: "against" the model (``hits_of``), or "sorted", in the order of torch's sort, as in RecBole.
    """

    def __init__(
        self,
        metrics: Iterable[str],
        num_items: int,
        *,
        popularity: Tensor | None = None,
        tail: float = 0.1,
        ties: Ties = "against",
    ) -> None:
        self.wanted = read_ranking_names(metrics)
        asked = [name for name, (kind, _) in self.wanted.items() if kind in OF_POPULARITY]
        if asked and popularity is None:
            raise ValueError(
                f"{asked} read how often items were taken in training: give 'popularity', as torch.bincount of the "
                "items of train.events()"
            )
        if popularity is not None and popularity.shape != (num_items,):
            raise ValueError(
                f"'popularity' must be ({num_items},), a number of every item, got {tuple(popularity.shape)}"
            )
        if ties not in ("against", "sorted"):
            raise ValueError(f"'ties' must be 'against' or 'sorted', got {ties!r}")
        self.ties, self.users = ties, 0
        self.popularity = torch.zeros(num_items) if popularity is None else popularity.cpu()
        self.tail = tail_of(self.popularity, tail)
        self.longest = max(cut for _, cut in self.wanted.values())
        self.totals = {name: 0.0 for name, (kind, _) in self.wanted.items() if kind in METRICS}
        cutoffs = {cut for kind, cut in self.wanted.values() if kind in SPREADS}
        self.shown = {cut: torch.zeros(num_items, dtype=torch.float64) for cut in sorted(cutoffs)}
        self.areas, self.weights = 0.0, 0.0

    def add(self, scores: Tensor, rows: Tensor, items: Tensor) -> None:
        """Add a block: scores (B, I), minus infinity for items not ranked; distinct relevant items (n,), (n,)."""
        self.users += scores.size(0)
        lists = None
        if self.shown or (self.ties == "sorted" and self.longest):
            lists = scores.topk(min(self.longest, scores.size(1)), dim=1).indices
        if self.totals:
            self._count_hits(scores, rows, items, lists)
        for cut, counts in self.shown.items():
            assert lists is not None
            counts += torch.bincount(lists[:, :cut].flatten(), minlength=len(counts)).cpu()
        if GAUC in self.wanted:
            areas, weights = user_aucs(scores, rows, items)
            self.areas, self.weights = self.areas + float(areas @ weights), self.weights + float(weights.sum())

    def _count_hits(self, scores: Tensor, rows: Tensor, items: Tensor, lists: Tensor | None) -> None:
        relevant = torch.bincount(rows, minlength=scores.size(0)).double()
        if self.ties == "against" or lists is None:
            hits = hits_of(scores, rows, items, self.longest)
        else:
            marks = torch.zeros_like(scores, dtype=torch.bool)
            marks[rows, items] = True
            found = marks.gather(1, lists).double()
            hits = torch.nn.functional.pad(found, (0, self.longest - found.size(1)))
        for name in self.totals:
            kind, cut = self.wanted[name]
            self.totals[name] += float(METRICS[kind](hits[:, :cut], relevant).sum())

    def values(self) -> dict[str, float]:
        """Return the value of every metric, in the requested order; ValueError where no user was added."""
        if not self.users:
            raise ValueError("'relevant' must hold at least one pair to find, got none")
        return {name: self._value(name, kind, cut) for name, (kind, cut) in self.wanted.items()}

    def _value(self, name: str, kind: str, cut: int) -> float:
        if kind in METRICS:
            return self.totals[name] / self.users
        if kind in SPREADS:
            return float(SPREADS[kind](self.shown[cut], self.popularity, self.tail))
        if not self.weights:
            raise ValueError("'gauc' needs a user with relevant items and others, there is none")
        return self.areas / self.weights
