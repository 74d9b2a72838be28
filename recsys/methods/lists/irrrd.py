"""IR-RRD: RRD for users, and the users that a teacher ranks for an item."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.irrrd import ItemRRD
from recsys.losses.rrd import RRD
from recsys.methods._ranking import RankingProblem
from recsys.methods.lists._rrd import lists_of_items, lists_of_users
from recsys.sources.irrrd import IRRRDLists


@method("irrrd", family="lists", paper="Kang et al., Information Sciences 2021", survey=(189,), tasks=("ranking",))
def item_regularised_rrd(
    problem: RankingProblem,
    *,
    weight: float = 1e-3,
    item_weight: float = 5e-4,
    k: int = 40,
    l: int = 40,  # noqa: E741 - the paper's L
    user_k: int = 20,
    user_l: int = 20,
    length: int = 500,
    scale: float = 10.0,
    max_items: int | None = None,
) -> nn.Module:
    """Learn the teacher's order of items for users and of users for items; choose it where RRD helps and time allows.

    RRD, plus the same with roles exchanged for the items in its lists: ``user_k`` interesting and ``user_l`` other
    users for each, with weight ``item_weight``. Costs several times RRD's step, since the lists of a batch cover most
    of the catalogue; ``max_items`` draws at most that many of these items, which scales the item side down in
    proportion.
    """
    users = lists_of_items(problem, k, l, length, scale)
    items = lists_of_users(problem, user_k, user_l, length, scale)
    lists = IRRRDLists(users, items, max_items=max_items)
    losses = problem.supervised() + weight * RRD() + item_weight * ItemRRD()
    return problem.learn(losses, irrrd=lists)
