"""HTD: how similar the users and items of a batch are to each other, by groups."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.htd import HTD
from recsys.methods._ranking import RankingProblem


@method(
    "htd",
    family="tables",
    paper="Kang et al., KDD 2021",
    arxiv="2106.08700",
    survey=(191,),
    tasks=("ranking", "sequential"),
    needs=("student_tables", "teacher_tables"),
    space={"alpha": (0.02, 0.98)},
)
def hierarchical_topology_distillation(
    problem: RankingProblem, *, weight: float = 1e-3, groups: int = 30, alpha: float = 0.5
) -> nn.Module:
    """Match cosines inside groups and between them; choose it where FTD asks too much of a small student.

    A gate on the teacher's tables assigns users and items to ``groups``, in the way that DE assigns them to experts;
    ``alpha`` is the weight of the topology, 1 - ``alpha`` that of the assignment. This is the form in the authors'
    code. See ``recsys.losses.HTD``.
    """
    loss = HTD.authors(*problem.widths, groups, alpha=alpha)
    return problem.learn(problem.supervised() + weight * loss)
