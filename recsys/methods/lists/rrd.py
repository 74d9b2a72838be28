"""RRD: a teacher's order of interesting items, above uninteresting ones."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.rrd import RRD
from recsys.methods._ranking import RankingProblem
from recsys.methods.lists._rrd import lists_of_items


@method(
    "rrd",
    family="lists",
    paper="Kang et al., CIKM 2020",
    arxiv="2012.04357",
    survey=(189,),
    tasks=("ranking", "sequential"),
)
def relaxed_ranking_distillation(
    problem: RankingProblem,
    *,
    weight: float = 1e-3,
    k: int = 40,
    l: int = 40,  # noqa: E741 - the paper's L
    length: int = 500,
    scale: float = 10.0,
) -> nn.Module:
    """Learn the order of items that the teacher finds interesting; choose it first among methods of lists.

    For every user and epoch, K = ``k`` items are drawn from the teacher's first ``length``; first items are drawn more
    often, the more so the smaller ``scale``. The student learns their order, and to rank them above ``l`` other drawn
    items. ``length`` is at most a quarter of the items. Costs O(U (length + l log nnz)) an epoch, O(U_batch (k + l)) a
    step.

    Example::

        recsys.distil("rrd", MF(users, items, 8), teacher, split).scores["test"]
    """
    lists = lists_of_items(problem, k, l, length, scale)
    return problem.learn(problem.supervised() + weight * RRD(), rrd=lists)
