"""HetComp's lists: the ranking that several teachers agree on, at the training stages that each user has reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.lists import list_length
from recsys.data.sampling import Outside
from recsys.losses.hetcomp import Phase, stage_discrepancy
from recsys.models.base import Recommender
from recsys.models.rankings import top_items
from recsys.models.tables import frozen
from recsys.sources._common import Clock, drawn, look_up

_BLOCK = 512  # users whose items are scored at once
_PAIRS = 1 << 16  # training pairs scored at once


def importance(length: int, decay: float = 10.0, device: torch.device | str = "cpu") -> Tensor:
    """Compute exp(-r / decay) for the positions r of a ranking: (length,) float32."""
    return torch.exp(torch.arange(length, device=device) / -decay)


def consensus(rankings: Tensor, k: int, num_items: int, *, decay: float = 10.0) -> Tensor:
    """Rank the k items of highest summed ``importance`` over several rankings: (T, U, N) -> (U, k) int32, best first.

    rankings: item ids, best first, distinct within a row; an item that a ranking does not list gets 0 from it. Of equal
    sums, the item from the earlier ranking goes first. O(U (T N log(T N) + I)) time, 512 · I numbers at a time. The
    authors read importances of all items from files that are not public; how these were computed is unknown.
    """
    if not 1 <= k <= rankings.size(2):
        raise ValueError(f"'k' must be from 1 to {rankings.size(2)}, the length of the rankings, got {k}")
    weights = importance(rankings.size(2), decay, rankings.device)
    best = []
    for part in rankings.long().split(_BLOCK, dim=1):
        total = torch.zeros(part.size(1), num_items, device=part.device)
        for items in part:
            total.scatter_add_(1, items, weights.expand(items.shape))
        values = []
        for items in part:
            values.append(total.gather(1, items))
            total.scatter_(1, items, -1.0)  # an item in two rankings counts once
        order = torch.cat(values, dim=1).sort(dim=1, descending=True, stable=True).indices[:, :k]
        best.append(part.transpose(0, 1).flatten(1).gather(1, order).int())
    return torch.cat(best)


def known_items(
    teachers: Sequence[Recommender], interactions: Interactions, tops: Tensor, k: int, *, decay: float = 10.0
) -> Tensor:
    """Rank the k training items of every user that the teachers agree on most: (U, k) int32, best first.

    Users with fewer than k get the first of ``tops`` (U, k or more) after them. O(nnz (d + log nnz)).
    """
    users, items = interactions.pairs()
    own = torch.arange(len(users), device=users.device) - interactions.ptr[users]  # place among its user's items
    weights = importance(int(interactions.degrees().max()), decay, users.device)
    total = torch.zeros(len(users), device=users.device)
    for teacher in teachers:
        with frozen(teacher) as fixed:
            parts = zip(users.split(_PAIRS), items.split(_PAIRS), strict=True)
            scores = torch.cat([fixed.score(*part).to(users.device) for part in parts])
        total[_by_user(users, scores)] += weights[own]
    order = _by_user(users, total)
    after = torch.arange(k, device=users.device) - interactions.degrees()[:, None]
    known = tops.gather(1, after.clamp(min=0))
    first = own < k
    known[users[first], own[first]] = items[order][first].to(known.dtype)
    return known


def stage_rankings(
    teachers: Sequence[Sequence[Recommender]], interactions: Interactions, k: int, *, decay: float = 10.0
) -> tuple[list[list[Tensor]], Tensor]:
    """Compute ``top_items`` (U, k) of every stage of every teacher, and ``known_items`` (U, max(k // 10, 1))."""
    stages = [[top_items(model, interactions, k) for model in each] for each in teachers]
    final = consensus(torch.stack([each[-1] for each in stages]), k, interactions.num_items, decay=decay)
    return stages, known_items([each[-1] for each in teachers], interactions, final, max(k // 10, 1), decay=decay)


def _by_user(users: Tensor, values: Tensor) -> Tensor:
    """Order pairs by user, then by falling value; ``users`` must ascend."""
    order = values.argsort(descending=True, stable=True)
    return order[users[order].argsort(stable=True)]


class HetCompLists:
    """HetComp's lists (Kang et al., WWW 2023): ``tops`` and ``known`` of each distinct user, and the ``phase``.

    stages: for each teacher its ``top_items`` (U, N) at successive stages of its training, easiest first, the last from
    the trained teacher. known: (U, p), the training items as the teachers rank them; these are fixed. ``tops`` is the
    ``consensus`` of the teachers, each at the stage that the user has reached with it, from 0. After epoch ``every``,
    from 0, the student's discrepancy to each teacher's next stage is recorded. In every ``every``-th epoch from then
    on, a user goes one stage up with a teacher where recorded / current discrepancy exceeds alpha · 0.995^(epoch //
    every) or is below 1; the discrepancy to the stage after that is then recorded. The phase is "overall" until, for
    every teacher, the mean stage of the users, rounded to two decimals as in the authors' code, is the last; then it is
    "rank" for all users. Ranking the student costs O(U I d), in blocks. The authors have six teachers of four stages, K
    = ``k`` = 100, p = 10. Their code rounds discrepancies to four decimals, and never advances a user whose discrepancy
    was and is 0; here such a user advances.
    """

    def __init__(
        self,
        student: Recommender,
        stages: Sequence[Sequence[Tensor]],
        known: Tensor,
        interactions: Interactions,
        *,
        k: int | None = None,
        every: int = 10,
        alpha: float = 1.05,
        decay: float = 10.0,
    ) -> None:
        counts = [len(each) for each in stages]
        if not counts or not min(counts):
            raise ValueError(f"'stages' must hold at least one teacher and a stage of each, got stages {counts}")
        shapes = {tuple(ranking.shape) for each in stages for ranking in each}
        if len(shapes) > 1 or next(iter(shapes))[0] != known.size(0):
            raise ValueError(f"'stages' must hold rankings of one shape, for {known.size(0)} users, got {shapes}")
        self.student, self.known, self.interactions = student, known, interactions
        self.rankings = [torch.stack(list(each)) for each in stages]
        self.k = list_length("k", k, 100, next(iter(shapes))[1], "the length of the rankings")
        self.every, self.alpha, self.decay = every, alpha, decay
        self.last = torch.tensor(counts, device=known.device)[:, None] - 1
        self.reached = torch.zeros(len(stages), known.size(0), dtype=torch.long, device=known.device)
        self._before: Tensor | None = None
        self._tops: Tensor | None = None
        self._clock = Clock(every)
        self._clock.epoch = -1  # no epoch is finished yet

    @classmethod
    def of_teachers(
        cls,
        student: Recommender,
        teachers: Sequence[Sequence[Recommender]],
        interactions: Interactions,
        *,
        k: int | None = None,
        decay: float = 10.0,
        **options: Any,
    ) -> HetCompLists:
        """Rank the models of all stages, to lists of ``k``, by default 100 or what is left; p = max(k // 10, 1)."""
        room = int(Outside(interactions).free.min())
        k = list_length("k", k, 100, room, "what the user with most training items has left")
        stages, known = stage_rankings(teachers, interactions, k, decay=decay)
        return cls(student, stages, known, interactions, k=k, decay=decay, **options)

    @property
    def phase(self) -> Phase:
        """Tell which of HetComp's two losses applies."""
        mean = self.reached.double().mean(dim=1, keepdim=True).round(decimals=2)
        return "rank" if bool((mean == self.last).all()) else "overall"

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the protocol gives both
        """Set the number of the next epoch."""
        self._clock.epoch = epoch - 1

    def resample(self) -> None:
        """Advance the stages if it is due."""
        done = self._clock.epoch
        if self._clock.due() and done > 0 and self.phase == "overall":
            self._advance(done)
        if self._tops is None:
            current = self._at(self.reached)
            self._tops = consensus(current, self.k, self.interactions.num_items, decay=self.decay)

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the lists of the batch's distinct users, and the phase."""
        users = batch["unique_users"]
        return {"tops": look_up(drawn(self._tops), users), "known": look_up(self.known, users), "phase": self.phase}

    def state_dict(self) -> dict[str, Any]:
        """Return the stages that users have reached, and the recorded discrepancies."""
        return {"reached": self.reached, "before": self._before}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore stages and discrepancies."""
        device, before = self.known.device, state["before"]
        self.reached, self._before = state["reached"].to(device), None if before is None else before.to(device)
        self._tops = None

    def _advance(self, done: int) -> None:
        length = min(50, self.rankings[0].size(2))
        ranked = top_items(self.student, self.interactions, length)
        now = self._discrepancies(ranked, self.reached + 1)
        if self._before is None:
            self._before = now
            return
        least = self.alpha * 0.995 ** (done // self.every)
        ready = (self._before > least * now) | (self._before < now) | (now == 0)
        ready &= self.reached < self.last
        self.reached = self.reached + ready
        self._before = torch.where(ready, self._discrepancies(ranked, self.reached + 1), self._before)
        self._tops = None

    def _discrepancies(self, ranked: Tensor, stage: Tensor) -> Tensor:
        """Compare the student's rankings (U, n) with each teacher's at stages (T, U), or its last: (T, U) float64."""
        return torch.stack([stage_discrepancy(ranked, each, k=ranked.size(1)) for each in self._at(stage)])

    def _at(self, stage: Tensor) -> Tensor:
        """Return the rankings at these stages (T, U), or the last: (T, U, N) int32."""
        users = torch.arange(stage.size(1), device=stage.device)
        chosen = torch.minimum(stage, self.last)
        return torch.stack([ranking[each, users] for ranking, each in zip(self.rankings, chosen, strict=True)])
