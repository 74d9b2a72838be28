"""FreqD: a teacher's tables below a low-pass filter of who takes the same."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.data.entity_graphs import co_occurrence
from recsys.losses.freqd import FreqD
from recsys.methods._ranking import RankingProblem


@method(
    "freqd",
    family="tables",
    paper="Zhu and Zhang, KDD 2025",
    arxiv="2411.10676",
    tasks=("ranking",),
    needs=("student_tables", "teacher_tables"),
    space={"alpha": (0.1, 0.9), "keep": (0.2, 1.0), "dropout": (0.05, 0.5)},
)
def frequency_weighted_distillation(
    problem: RankingProblem,
    *,
    weight: float = 0.5,
    alpha: float = 0.5,
    k: int = 5,
    keep: float = 0.5,
    experts: int = 5,
    dropout: float = 0.2,
    normalise: bool = True,
) -> nn.Module:
    """Match the teacher's tables where neighbours agree; choose it where DE copies what is peculiar to single rows.

    Before the comparison, each row of both sides is mixed with its neighbours, which get the share ``alpha``: the ``k``
    users with most common items, or the ``k`` items with most common users. A share ``keep`` of these edges is drawn in
    every step. experts, dropout: of the networks whose mean maps the student's rows to the teacher's width. normalise:
    compare directions. Defaults are the authors' for BPR on Gowalla. The graphs cost O(sum over pairs of the degrees)
    once. See ``recsys.losses.FreqD``.
    """
    graphs = co_occurrence(problem.pairs, k), co_occurrence(problem.pairs.transpose(), k)
    own, theirs = problem.widths
    loss = FreqD(own, theirs, *graphs, alpha=alpha, keep=keep, experts=experts, dropout=dropout, normalise=normalise)
    return problem.learn(problem.supervised() + weight * loss)
