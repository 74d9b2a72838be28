"""Common parts of RRD and IR-RRD: a teacher's first items or users, and the lists that are drawn from them."""

from __future__ import annotations

from recsys.methods._ranking import RankingProblem
from recsys.sources.rrd import RRDLists


def lists_of_items(problem: RankingProblem, k: int, l: int, length: int, scale: float) -> RRDLists:  # noqa: E741 - the paper's L
    """Make RRD's lists of items for users; ``length`` is at most a quarter of the items, ``k`` and ``l`` are cut."""
    room = problem.room()
    length = problem.at_most("length", min(length, problem.pairs.num_items // 4), max(room // 2, 1))
    top = problem.top_items(length)
    k, l = problem.at_most("k", k, length), problem.at_most("l", l, max(room - length, 1))  # noqa: E741
    return RRDLists(top, problem.pairs, k=k, l=l, scale=scale)


def lists_of_users(problem: RankingProblem, k: int, l: int, length: int, scale: float) -> RRDLists:  # noqa: E741 - the paper's L
    """Make IR-RRD's lists of users for items; otherwise as ``lists_of_items``."""
    pairs = problem.pairs.transpose()
    room = problem.room(pairs)
    length = problem.at_most("length", min(length, problem.pairs.num_users // 4), max(room // 2, 1))
    top = problem.top_users(length)
    k, l = problem.at_most("user_k", k, length), problem.at_most("user_l", l, max(room - length, 1))  # noqa: E741
    return RRDLists(top, pairs, k=k, l=l, scale=scale)
