"""RCE-KD: match the teacher over the student's top list, and over a mixed list where the two top lists differ."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.rcekd import RCEKD
from recsys.methods._ranking import RankingProblem
from recsys.sources.rcekd import RCEKDLists


@method("rcekd", family="lists", paper="Zhu and Zhang, 2025", arxiv="2509.20989", tasks=("ranking", "sequential"))
def rejuvenated_cross_entropy(
    problem: RankingProblem,
    *,
    weight: float = 0.1,
    k: int = 50,
    l: int = 50,  # noqa: E741 - the paper's letter
    length: int = 200,
    scale: float = 10.0,
    temperature: float = 1.0,
    sharpness: float = 3.0,
    rerank: int = 1,
) -> nn.Module:
    """Match the teacher's distribution over the student's own first items; choose it for accuracy at the top.

    One cross-entropy is over the student's first ``k`` items. The other is over ``l`` items drawn from the student's
    first ``length``, near the teacher's items, and those of the teacher's that are in neither list; its weight grows as
    the lists overlap less (``sharpness``). The student is ranked anew every ``rerank`` epochs, O(U I d), which makes
    this the costliest method of lists. The default weight is ours.
    """
    room = problem.room()
    k, l = problem.at_most("k", k, room), problem.at_most("l", l, room)  # noqa: E741
    lists = RCEKDLists(
        problem.ranked_student, problem.top_items(k), problem.pairs, k=k, l=l, length=length, scale=scale, rerank=rerank
    )
    loss = RCEKD(temperature, sharpness=sharpness)
    return problem.learn(problem.supervised() + weight * loss, rcekd=lists)
