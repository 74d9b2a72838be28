"""TAKD: teacher assistants between a large teacher and a small student.

Mirzadeh, Farajtabar, Li, Levine, Matsukawa and Ghasemzadeh, "Improved Knowledge Distillation via Teacher Assistant",
AAAI 2020, arXiv:1902.03393.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, get_args

from torch import nn

from graphkd.core.ensemble import Ensemble
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import choose

Route = Literal["best", "all", "none"]


@method(
    "takd",
    family="teachers",
    paper="Mirzadeh et al., AAAI 2020",
    arxiv="1902.03393",
    survey=(74,),
    tasks=("rows",),
    space={"label_weight": (0.003, 0.97)},
)
def takd(
    problem: Problem,
    *,
    route: Route = "best",
    label_weight: float = 0.1,
    temperature: float = 4.0,
    assistants: Sequence[nn.Module] | None = None,
) -> nn.Module:
    """Teach assistants, from the largest to the smallest, and at last the student; choose it where the gap is wide.

    Each model is taught by one before it: with ``route="all"`` by the one just before, with "none" by the teacher
    itself (the baseline), with "best" by whichever gives it the best validation score. That is the paper's dynamic
    programming: the best path to a model contains the best path to its teacher, so n models take n (n + 1) / 2
    trainings instead of one per path. A step minimises ``label_weight`` CE + (1 - label_weight) KL(``temperature``),
    the paper's form; the paper searches weight and temperature for each pair. Every attempt starts from the model's
    initial weights. assistants: from the largest to the smallest, called as the student is; by default a new model of
    the teacher's architecture (of an ensemble's first member), then one of the student's. Unlike in the authors' code,
    KL is a mean over rows and the teacher has no gradient. Raises ValueError for "best" without validation rows.
    """
    choose("route", route, get_args(Route))
    if route == "best" and not problem.task.has("val", problem.data):
        raise ValueError("'route' must be 'all' or 'none' where the data have no validation rows to choose by")
    models = [*(_assistants(problem) if assistants is None else assistants), problem.student]
    losses = {"labels": label_weight * problem.supervised(), "soft": (1 - label_weight) * problem.soft(temperature)}
    teachers: list[Any] = [problem.teacher]
    best: Any = None
    for place, model in enumerate(models):
        attempts = []
        for source in {"best": range(place + 1), "all": [place], "none": [0]}[route]:
            task = problem.distiller(problem.twin(model), teachers[source], losses)
            attempts.append(problem.train(task, f"model-{place + 1}-by-{source}"))
        scores = [problem.score(attempt) for attempt in attempts] if len(attempts) > 1 else [0.0]
        best = attempts[problem.once(f"teacher-of-{place + 1}", partial(_first_best, scores))]
        teachers.append(problem.taught_by(best))
    return best


def _first_best(scores: list[float]) -> int:
    """Return the place of the best score; of equals the first, which has the shortest path."""
    return scores.index(max(scores))


def _assistants(problem: Problem) -> list[nn.Module]:
    """Make a new model of the teacher's kind, and one of the student's."""
    teacher = problem.teacher
    while isinstance(teacher, Ensemble):
        teacher = teacher.members[0]
    return [problem.fresh(problem.teacher_to_train(teacher), 1), problem.fresh_student(2)]
