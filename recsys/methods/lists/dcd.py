"""DCD: items that the student ranks too low in a teacher's list, above those that it ranks too high there."""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

from torch import nn

from graphkd.core.method import method
from graphkd.losses._checks import choose
from recsys.data.source import Source
from recsys.losses.dcd import DCD
from recsys.methods._ranking import RankingProblem
from recsys.sources.dcd import DCDLists

Side = Literal["users", "items", "both"]


@method("dcd_items", preset={"side": "items"}, tasks=("ranking",))
@method("dcd", family="lists", paper="Lee and Kim, CIKM 2021", arxiv="2109.03459", tasks=("ranking", "sequential"))
def dual_correction(
    problem: RankingProblem,
    *,
    weight: float = 1e-3,
    side: Side = "users",
    k: int = 40,
    length: int = 100,
    sharpness: float = 0.1,
    every: int = 3,
) -> nn.Module:
    """Correct what the student ranks too low and too high; choose it where RRD's lists are learnt and no longer help.

    In every epoch, ``k`` items that the student underestimates and ``k`` that it overestimates are drawn from the
    teacher's first ``length`` items of a user, by the difference of student and teacher ranks. The student's ranks are
    recomputed every ``every`` epochs, O(U length d). side: lists of items for "users", lists of users for "items",
    whose ``length`` is at most a quarter of the users, or "both". We do not know the paper's weight; the default is
    RRD's.
    """
    choose("side", side, get_args(Side))
    losses, sources = problem.supervised(), dict[str, Source]()
    draw = partial(DCDLists, problem.ranked_student, sharpness=sharpness, every=every)
    if side != "items":
        losses += weight * DCD()
        items = problem.at_most("length", length, problem.room())
        sources["dcd"] = draw(problem.top_items(items), k=problem.at_most("k", k, items))
    if side != "users":
        losses += weight * DCD.items()
        users = min(length, problem.pairs.num_users // 4)
        sources["dcd_items"] = draw(problem.top_users(users), k=problem.at_most("k", k, users), of_items=True)
    return problem.learn(losses, **sources)
