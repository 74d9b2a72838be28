"""GraphD: a teacher's tables, each row mixed at random with its neighbours."""

from __future__ import annotations

from torch import Tensor, nn

from graphkd.core.method import method
from recsys.data.entity_graphs import EntityGraph, nearest
from recsys.losses.graphd import GraphD
from recsys.methods._ranking import RankingProblem


@method(
    "graphd",
    family="tables",
    paper="Zhu, code of woriazzc/KDs, 2024",
    tasks=("ranking",),
    needs=("student_tables", "teacher_tables"),
    space={"alpha": (0.1, 1.0), "keep": (0.2, 1.0), "dropout": (0.05, 0.5)},
)
def graph_mixed_distillation(
    problem: RankingProblem,
    *,
    weight: float = 0.5,
    alpha: float = 0.7,
    k: int = 5,
    keep: float = 0.7,
    experts: int = 5,
    dropout: float = 0.2,
) -> nn.Module:
    """Match random mixtures of the tables' rows; choose it beside FreqD, where the teacher's own neighbours are meant.

    In every step, rows of both sides are mixed with the ``k`` rows nearest in the teacher's tables, a share ``keep`` of
    these edges being drawn, and then compared by direction. The weight of the row itself is random, up to 2 ``alpha``.
    experts, dropout: of the networks whose mean maps the student's rows to the teacher's width. Defaults are the
    settings of the only public code, for BPR. The neighbours cost O((U^2 + I^2) d) once. See ``recsys.losses.GraphD``.
    """

    def found() -> list[tuple[Tensor, ...]]:
        return [tuple(nearest(table, k, padding=problem.pairs.padding)) for table in problem.teacher.model.tables()]

    users, items = (EntityGraph(*parts) for parts in problem.once(f"nearest-{k}", found))
    loss = GraphD(*problem.widths, users, items, alpha=alpha, keep=keep, experts=experts, dropout=dropout)
    return problem.learn(problem.supervised() + weight * loss)
