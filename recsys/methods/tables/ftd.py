"""FTD: how similar the users and items of a batch are to each other, over all pairs."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.ftd import FTD
from recsys.methods._ranking import RankingProblem


@method(
    "ftd",
    family="tables",
    paper="Kang et al., KDD 2021",
    arxiv="2106.08700",
    survey=(191,),
    tasks=("ranking", "sequential"),
    needs=("student_tables", "teacher_tables"),
)
def full_topology_distillation(problem: RankingProblem, *, weight: float = 1e-3) -> nn.Module:
    """Match the cosines of all pairs of a batch's users and items; choose it as the plain form of HTD.

    Costs O(n d^2) for the n users and items of a batch, by Gram matrices. See ``recsys.losses.FTD``.
    """
    return problem.learn(problem.supervised() + weight * FTD())
