"""RCE-KD's lists: the student's own top items, and a mixed list drawn near the teacher's top items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.lists import among, list_length
from recsys.data.sampling import Outside, race
from recsys.losses.rcekd import rcekd_meeting
from recsys.models.base import Recommender
from recsys.models.rankings import top_items
from recsys.sources._common import Clock, Per, check_per, drawn, look_up

_MOST = 50  # how many of the teacher's items count
_MOST_BYTES = 2**28  # of the entries made with the lists, one byte an item


def agreement_log_weights(student: Tensor, teacher: Tensor, scale: float = 10.0) -> Tensor:
    """Compute log weights of a student's positions: top lists (U, N), (U, K) -> (U, N) float64.

    (min(n_r, 50) + 1) / T, n_r being how many of the teacher's items are at position r of the student's list or after
    it (Zhu and Zhang, 2025, arXiv:2509.20989). O(U (N + K)).
    """
    (hits,) = among(student, teacher)
    after = hits.flip(1).cumsum(dim=1).flip(1)
    return (after.clamp(max=_MOST) + 1).double() / scale


class RCEKDLists:
    """RCE-KD's lists: ``own`` (R, K), the student's top, and ``mixed`` (R, L + K), drawn items, then the teacher's.

    Lists are given for the distinct users of a batch, since all rows of a user have the same scores. per: "row" adds
    ``own_rows`` (B,), the list that each row of the batch uses; with "user" the loss counts each user once.
    ``mixed_kept`` and ``mixed_met``, which ``RCEKD`` reads, are computed with the lists if they take at most 256 MB.

    top: the teacher's ``top_items`` (U, K) or wider. L = ``l`` items are drawn from the student's top ``length``, or as
    many as the user with most training items has left, by successive sampling with ``agreement_log_weights``. The
    student is ranked, and the lists are drawn, every ``rerank`` epochs, O(U I d + U length K); the authors do so every
    epoch, with K = L = 50, length 200, T = ``scale`` = 10.
    """

    def __init__(
        self,
        student: Recommender,
        top: Tensor,
        interactions: Interactions,
        *,
        k: int | None = None,
        l: int | None = None,  # noqa: E741 - the paper's letter
        length: int = 200,
        scale: float = 10.0,
        rerank: int = 1,
        per: Per = "row",
        names: tuple[str, str] = ("own", "mixed"),
    ) -> None:
        length = min(length, int(Outside(interactions).free.min()))
        k = list_length("k", k, 50, min(top.size(1), length), "what 'top' lists and a user has left")
        l = list_length("l", l, 50, length, "'length', or what the user with most training items has left")  # noqa: E741
        self.student, self.interactions, self.top = student, interactions, top[:, :k]
        self.k, self.l, self.length, self.scale = k, l, length, scale
        self.per, self.names = check_per(per), names
        self._clock = Clock(rerank)
        self._own: Tensor | None = None
        self._mixed: Tensor | None = None
        self._meeting: tuple[Tensor, Tensor] | None = None

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the protocol gives both
        """Set the number of the next epoch."""
        self._clock.epoch = epoch

    def resample(self) -> None:
        """Rank the student and draw, if it is due."""
        if self._clock.due() or self._own is None:
            ranked = top_items(self.student, self.interactions, self.length)
            places = race(agreement_log_weights(ranked, self.top.to(ranked), self.scale), self.l)
            self._keep(ranked[:, : self.k], torch.cat([ranked.gather(1, places), self.top.to(ranked)], dim=1))

    def _keep(self, own: Tensor, mixed: Tensor) -> None:
        self._own, self._mixed = own, mixed
        self._meeting = rcekd_meeting(own, mixed) if mixed.numel() <= _MOST_BYTES else None

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the lists of the batch's users."""
        users, tables = batch["unique_users"], (drawn(self._own), drawn(self._mixed))
        found: dict[str, Any] = {name: look_up(table, users) for name, table in zip(self.names, tables, strict=True)}
        if self.per == "row":
            found["own_rows"] = torch.searchsorted(users, batch["users"])
        if self._meeting is not None:
            found |= {
                name: table.index_select(0, users)
                for name, table in zip(("mixed_kept", "mixed_met"), self._meeting, strict=True)
            }
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the drawn lists, which may serve several epochs."""
        return {"own": self._own, "mixed": self._mixed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the drawn lists of an interrupted run."""
        if state["own"] is not None:
            self._keep(state["own"], state["mixed"])
