"""HetComp: the agreed ranking of several teachers of different kinds, from early training stages to the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from graphkd.core.method import method
from recsys.losses.hetcomp import HetComp
from recsys.methods._ranking import RankingProblem
from recsys.methods.lists._trajectory import Trajectory
from recsys.models.base import Recommender, check_model
from recsys.sources.hetcomp import HetCompLists, stage_rankings
from recsys.tasks.ranking import base_loss


@method(
    "hetcomp",
    family="lists",
    paper="Kang et al., WWW 2023",
    arxiv="2303.01130",
    tasks=("ranking",),
    needs=("student_tables",),
    teacher=False,
)
def heterogeneous_compression(
    problem: RankingProblem,
    *,
    teachers: Sequence[Recommender | Sequence[Recommender]] | None = None,
    stages: int = 4,
    weight: float = 0.01,
    rank_weight: float = 0.5,
    k: int = 100,
    every: int = 10,
    alpha: float = 1.05,
    decay: float = 10.0,
) -> nn.Module:
    """Learn what several teachers agree on, easy first; choose it where teachers of unlike kinds can be had.

    teachers: one entry for each teacher: a model, which is trained here and saved after 1, 2, 4, 8 ... epochs, its
    stages being the last ``stages`` of these up to the chosen epoch; or a list of its stages, easiest first. Without
    ``teachers``, the run's teacher has one stage. Every ``every`` epochs, a user advances one stage of a teacher if the
    student has come nearer to the next stage by the factor ``alpha``. When nearly all users are at the last stages, the
    order of the lists counts too, times ``rank_weight``. k: items of the agreed ranking, at most a quarter of all;
    ``decay``: of their importance by rank. The loss is used alone, as in the authors' code, which has six teachers of
    four stages. Costs the trainings of the teachers, O(U I d) every ``every`` epochs, and O(U_batch I d) a step.
    """
    found = _stages(problem, teachers, stages)
    k = problem.at_most("k", min(k, problem.pairs.num_items // 4), problem.room())
    rankings, known = problem.once("rankings", lambda: stage_rankings(found, problem.pairs, k, decay=decay))
    lists = HetCompLists(problem.student, rankings, known, problem.pairs, k=k, every=every, alpha=alpha, decay=decay)
    return problem.learn(weight * HetComp(problem.pairs, rank_weight=rank_weight), hetcomp=lists)


def _stages(problem: RankingProblem, teachers: Sequence[Any] | None, count: int) -> list[list[Any]]:
    """Return the stages of all teachers; ValueError where there is no teacher."""
    if count < 1:
        raise ValueError(f"'stages' must be at least 1, got {count}")
    if not teachers:
        if problem.teacher is None:
            raise ValueError(
                "'hetcomp' needs a teacher: give 'teacher', or models to be trained as 'teachers', got None"
            )
        return [[problem.teacher.model]]
    found = []
    for number, given in enumerate(teachers, 1):
        for model in given if isinstance(given, (list, tuple)) else [given]:
            check_model(model, problem.pairs, "teachers")
        found.append(list(given) if isinstance(given, (list, tuple)) else _trained(problem, given, number, count))
    return found


def _trained(problem: RankingProblem, model: Recommender, number: int, count: int) -> list[nn.Module]:
    """Train a teacher and return its stages."""
    model = model.to(problem.device)
    trajectory = Trajectory(problem.distiller(model, None, base_loss(model, problem.copies)))
    problem.train(trajectory, f"teacher-{number}", serve=lambda student: student.model)
    return trajectory.stages(count)
