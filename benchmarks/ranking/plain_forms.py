"""What the ranking methods' authors compute: dense masks, all pairs, all experts on all rows, a loop over users.

The baselines of ``benchmarks.ranking_costs``: the values of ``recsys.losses`` and the laws of ``recsys.data.sampling``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recsys import Interactions
from recsys.data.sampling import rank_log_weights
from recsys.losses import DE, HTD, RoutedExperts
from recsys.losses._experts import Noise, route
from recsys.losses._tables import Tables, Triplets
from recsys.losses.htd import HTDTerms
from recsys.sources.unkd import GroupLists


# ---------------------------------------------------------------- sampling
def uninteresting_mask(top: Tensor, interactions: Interactions) -> Tensor:
    """1 for items outside a user's training items and ``top``, else 0: (U, 500) -> (U, I) float32; made once."""
    mask = torch.ones(interactions.num_users, interactions.num_items)
    mask[interactions.pairs()] = 0
    return mask.scatter_(1, top.long(), 0)


def rrd_lists(top: Tensor, mask: Tensor, k: int = 40, l: int = 40, scale: float = 10.0) -> tuple[Tensor, Tensor]:  # noqa: E741
    """An epoch's lists of RRD by ``torch.multinomial``, over weights of positions and over the dense mask."""
    weights = rank_log_weights(top.size(1), scale).exp().expand(top.size(0), -1)
    positions = weights.multinomial(k).sort(dim=1).values
    return top.gather(1, positions), mask.multinomial(l)


def unkd_pairs(
    lists: GroupLists,
    numbers: Sequence[int],
    users: Iterable[int],
    scale: float = 20.0,
    *,
    one_by_one: bool = True,
) -> tuple[Tensor, Tensor]:
    """UnKD's pairs user by user and group by group: better and worse items, (users, P) each.

    As in the authors' code pairs are put in order ``one_by_one``, and all of a group are drawn anew while one is a tie:
    the law is the same. Otherwise those of a user and group are put in order at once.
    """
    weights, ordered = rank_log_weights(lists.items.size(2), scale).exp(), _one_by_one if one_by_one else _at_once
    rows = []
    for user in users:
        groups = zip(lists.items[user].unbind(), lists.lengths[user].tolist(), numbers, strict=True)
        pairs = [items[_pairs(weights[:length], number, ordered)] for items, length, number in groups]
        rows.append(torch.cat(pairs, dim=1))
    better, worse = torch.stack(rows, dim=1)
    return better, worse


def _pairs(weights: Tensor, number: int, ordered: Callable[[Tensor, Tensor], bool]) -> Tensor:
    """Better and worse positions, (2, number); (0, 0) where there is only one."""
    if len(weights) < 2:
        return torch.zeros(2, number, dtype=torch.long)
    while True:
        first, second = (weights.multinomial(number, replacement=True) for _ in range(2))
        if ordered(first, second):
            return torch.stack([first, second])


def _one_by_one(first: Tensor, second: Tensor) -> bool:
    """Exchange what is in the wrong order; whether there was no tie."""
    decided = 0
    for place in range(len(first)):
        if first[place] > second[place]:
            first[place], second[place] = second[place].clone(), first[place].clone()
        if first[place] < second[place]:
            decided += 1
    return decided == len(first)


def _at_once(first: Tensor, second: Tensor) -> bool:
    """The same."""
    smaller = torch.minimum(first, second)
    torch.maximum(first, second, out=second)
    first.copy_(smaller)
    return bool((first < second).all())


# ---------------------------------------------------------------- topology
def cosines(x: Tensor, y: Tensor | None = None) -> Tensor:
    """Of all pairs of rows of two matrices, or of one: (n, d), (m, d) -> (n, m)."""
    x = F.normalize(x, dim=1)
    return x @ (x if y is None else F.normalize(y, dim=1)).t()


def ftd_all_pairs(student: Tensor, teacher: Tensor) -> Tensor:
    """``ftd`` with both n x n matrices."""
    return (cosines(student) - cosines(teacher)).square().sum()


def htd_all_pairs(student: Tensor, teacher: Tensor, groups: Tensor) -> Tensor:
    """The authors' ``htd`` with n x n matrices of cosines and of common membership."""
    members = F.one_hot(groups).to(student.dtype)
    wanted = cosines(teacher) * (members @ members.t())
    listed = wanted > 0
    entities = (cosines(student)[listed] - wanted[listed]).square().sum()
    members = members[:, groups.unique()]
    means = (members / members.sum(dim=0)).t()
    ours, theirs = means @ student.detach(), means @ teacher
    return entities + (cosines(ours, student) - cosines(theirs, teacher)).square().sum()


# ---------------------------------------------------------------- experts
class AllExperts(RoutedExperts):
    """Every expert computes every row; the outputs are stacked, weighted and summed.

    (n, d_t, M), experts last, as in the authors' code, or (n, M, d_t), which memory likes better.
    """

    experts_last = True

    @classmethod
    def of(cls, experts: RoutedExperts, *, experts_last: bool = True) -> AllExperts:
        """A copy of other experts."""
        made = cls(*experts.widths, len(experts.gate_b), gate_eps=experts.gate_eps)
        made.load_state_dict(experts.state_dict())
        made.experts_last = experts_last
        return made

    def forward(self, student: Tensor, teacher: Tensor, temperature: float, noise: Tensor | None = None) -> Tensor:
        """(n, d_s), (n, d_t) -> (n, d_t)."""
        z = route(self.gates(teacher), temperature, noise, self.gate_eps)
        outputs = [
            F.linear(F.linear(student, w1, b1).relu(), w2, b2)
            for w1, b1, w2, b2 in zip(self.w1, self.b1, self.w2, self.b2, strict=True)
        ]
        if self.experts_last:
            return (torch.stack(outputs, dim=2) * z[:, None, :]).sum(dim=2)
        return (torch.stack(outputs, dim=1) * z[:, :, None]).sum(dim=1)


class PlainDE(DE):
    """``DE`` with ``AllExperts``."""

    def __init__(self, *widths: int, experts_last: bool = True, **knobs: Any) -> None:
        super().__init__(*widths, **knobs)
        self.users, self.items = (AllExperts.of(each, experts_last=experts_last) for each in (self.users, self.items))


class PlainHTD(HTD):
    """``HTD.authors`` with ``AllExperts`` and ``htd_all_pairs``."""

    def __init__(self, *widths: int, experts_last: bool = True, **knobs: Any) -> None:
        super().__init__(*widths, positive_only=True, prototype_grad=False, **knobs)
        self.users, self.items = (AllExperts.of(each, experts_last=experts_last) for each in (self.users, self.items))

    def terms(self, student: Tables, teacher: Tables, batch: Triplets, noise: Noise) -> HTDTerms:
        """The three sums."""
        chosen = batch.entities()
        ours, theirs = ([table[ids] for table, ids in zip(side, chosen, strict=True)] for side in (student, teacher))
        return HTDTerms(
            htd_all_pairs(torch.cat(ours), torch.cat(theirs), torch.cat(self.assign(*theirs))),
            self.users.errors(ours[0], theirs[0], self.temperature, noise.get("users")).sum(),
            self.items.errors(ours[1], theirs[1], self.temperature, noise.get("items")).sum(),
        )
