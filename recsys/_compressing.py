"""Parts of ``recsys.compress``: recommenders of several widths, methods, and the measurement of costs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from graphkd.compressing.budget import Budget, Costs
from graphkd.compressing.choices import chosen_methods
from graphkd.compressing.measuring import QUERIES, Measure, costs_of, middle
from graphkd.compressing.run import Compression
from graphkd.compressing.students import Student, given_students
from graphkd.core.distilled import Distilled
from graphkd.core.method import Metadata
from graphkd.core.modes import evaluating
from graphkd.core.rng import seeded
from graphkd.serving.forms import Form
from graphkd.serving.timing import latencies
from recsys.data.interactions import Interactions, Split
from recsys.models.base import Recommender
from recsys.models.mean import recommender_of
from recsys.models.mf import MF
from recsys.models.tables import tables_of
from recsys.retrieve import Retriever
from recsys.tasks._judged import is_smaller_better
from recsys.tasks.ranking import Ranking

_WIDTHS = (2, 4, 8, 16, 32, 64, 128)
_USUAL = 5  # widths tried by default
_METHODS = ("rrd", "cd", "kd", "none", "de")
_BEST = 20  # items in a query's list


def compression(
    distil: Callable[..., Distilled],
    known: Sequence[Metadata],
    teacher: Any,
    split: Any,
    task: Any,
    *,
    students: Any,
    methods: Any,
    budget: Budget,
    latency: Callable[[nn.Module], float] | None,
    epochs: int | None,
    seed: int,
    options: Mapping[str, Any],
) -> Compression:
    """Build the ``Compression`` of a ranking teacher from the options of ``recsys.compress``."""
    if not isinstance(task, Ranking):
        raise TypeError(f"'task' must be recsys.tasks.Ranking, a split of pairs, got {type(task).__name__}")
    if is_smaller_better(task.wanted[0]):
        raise ValueError(f"students are chosen by the task's first metric, more being better, got {task.wanted[0]!r}")
    with seeded(seed):
        prepared = task.prepare(split)
    model = recommender_of(teacher)
    choice = _auto(model) if isinstance(students, str) and students == "auto" else given_students(students, seed)
    has = ["student_tables"] if all(getattr(each.shape(), "has_tables", False) for each in choice) else []
    has += ["teacher_tables"] if model.has_tables else []
    measure: Measure = partial(_measured, prepared.train) if latency is None else partial(_asked, latency)
    return Compression(
        distil,
        choice,
        chosen_methods(known, methods, kind=task.kind, has=has, preferred=_METHODS),
        teacher,
        split,
        task,
        task.training,
        measure,
        budget,
        judge=partial(_judged, model, task, prepared, measure),
        epochs=epochs,
        seed=seed,
        options=options,
    )


def _auto(teacher: Recommender) -> list[Student]:
    """List factorisations narrower than the teacher."""
    width = teacher.tables()[0].size(1) if teacher.has_tables else _WIDTHS[-1]
    widths = [each for each in _WIDTHS if each < width][-_USUAL:]
    if not widths:
        raise ValueError(f"there is no width below the teacher's {width}: give students=[...]")
    makes = {each: partial(MF, teacher.num_users, teacher.num_items, each) for each in widths}
    return [Student(f"mf-{each}", make, make, is_given=False) for each, make in makes.items()]


@torch.no_grad()
def _measured(seen: Interactions, models: Mapping[str, nn.Module]) -> dict[str, Costs]:
    """Time the retrieval of one user's best items, for all models in turn."""
    users = np.arange(int(seen.padding), seen.num_users)
    with evaluating(nn.ModuleList(models.values())):
        told = latencies({name: _form(model, seen) for name, model in models.items()}, users, queries=QUERIES)
    return {name: costs_of(model, middle(told[name]), "torch, best 20") for name, model in models.items()}


def _form(model: Any, seen: Interactions) -> Form:
    k = min(_BEST, seen.num_items)
    model = model.cpu()
    if model.has_tables:
        retriever = Retriever(tables_of(model), seen)
        return Form(torch.from_numpy, lambda users: retriever.users(users, k).items.numpy(), lambda _: 0)
    return Form(torch.from_numpy, lambda users: model.score_items(users).topk(k).indices.numpy(), lambda _: 0)


def _asked(latency: Callable[[nn.Module], float], models: Mapping[str, nn.Module]) -> dict[str, Costs]:
    return {name: costs_of(model, float(latency(model)), "given") for name, model in models.items()}


def _judged(model: Recommender, task: Ranking, split: Split, measure: Measure) -> dict[str, Any]:
    """Measure the teacher's scores and costs."""
    with seeded(0), evaluating(model):
        scores = task.scores(model, split)
        costs = measure({"teacher": copy.deepcopy(model)})["teacher"]
    return {"validation": next(iter(scores["val"].values())), "scores": scores, **asdict(costs)}
