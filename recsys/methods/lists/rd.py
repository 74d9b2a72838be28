"""RD: a teacher's top items as weighted positives."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.rd import RD
from recsys.methods._ranking import RankingProblem
from recsys.sources.rd import RDLists


@method(
    "rd",
    family="lists",
    paper="Tang and Wang, KDD 2018",
    arxiv="1809.07428",
    survey=(22,),
    tasks=("ranking", "sequential"),
)
def ranking_distillation(
    problem: RankingProblem,
    *,
    weight: float = 1.0,
    k: int = 10,
    samples: int = 100,
    decay: float = 1.0,
    sharpness: float = 0.1,
    start_epoch: int = 10,
) -> nn.Module:
    """Take the teacher's first items as further positives; choose it as the plainest method of lists.

    k: how many items. decay: of their weights by position. From ``start_epoch`` on, items that the student ranks too
    low also weigh more, the steeper the larger ``sharpness``; ``samples`` drawn items estimate the student's ranks.
    weight: multiplied by the batch size, since both of the paper's losses are means over rows. Costs O(batch · (k +
    samples)) a step.
    """
    k = problem.at_most("k", k, problem.room() - 1)
    lists = RDLists(problem.top_items(k + 1), problem.pairs, k=k, samples=samples)
    loss = RD(problem.pairs.num_items, decay=decay, sharpness=sharpness, start_epoch=start_epoch)
    return problem.learn(problem.supervised() + weight * problem.batch_size * loss, rd=lists)
