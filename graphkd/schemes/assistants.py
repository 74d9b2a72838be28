"""TAKD: teacher assistants between a large teacher and a small student.

Mirzadeh, Farajtabar, Li, Levine, Matsukawa and Ghasemzadeh, "Improved Knowledge Distillation via Teacher Assistant",
AAAI 2020, arXiv:1902.03393.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import nn

from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.teachers import Cached, Frozen, cached
from graphkd.core.view import Batch
from graphkd.losses._checks import choose
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL

Route = Literal["best", "all", "none"]


class Chain(NamedTuple):
    """A student, who taught it, and how good each model of the way was on validation.

    path: assistants by their place in the list, from the teacher down. accuracies: of the assistants and the student,
    each by its best teacher.
    """

    student: nn.Module
    path: tuple[int, ...]
    accuracies: tuple[float, ...]


def takd(
    student: nn.Module,
    teacher: nn.Module | Frozen,
    assistants: Sequence[nn.Module],
    data: Batch,
    *,
    metric: Callable[[nn.Module], float],
    losses: Loss | None = None,
    route: Route = "best",
    **options: Any,
) -> Chain:
    """Teach assistants, from the largest to the smallest, and at last the student; choose it where the gap is wide.

    Each model is taught by one before it: with ``route="all"`` by the one just before, with "none" by the teacher
    itself (the baseline), with "best" by whichever gave it the best ``metric`` on validation. That is the paper's
    dynamic programming: the best way to a model goes through the best way to who teaches it, so n models take
    n (n + 1) / 2 trainings instead of one a path. losses: of every step, by default
    0.5 CE(where="train_mask") + 0.5 KL(4), the paper's form, whose weight and temperature are searched a pair.
    Every attempt starts from the weights a model comes with; ``assistants`` and ``student`` end trained.
    options go to ``fit``. Other than in the authors' code, KL is a mean over rows and the teacher has no gradient.
    """
    choose("route", route, get_args(Route))
    losses = 0.5 * CE(where="train_mask") + 0.5 * KL(4.0) if losses is None else losses
    teachers = [cached(teacher, data)]
    paths: list[tuple[int, ...]] = [()]
    accuracies: list[float] = []
    for place, model in enumerate([*assistants, student]):
        candidates = {"best": range(place + 1), "all": [place], "none": [0]}[route]
        attempts = []
        for source in candidates:
            pupil = copy.deepcopy(model)
            fit(Distiller(pupil, teachers[source], copy.deepcopy(losses)), data, metric=metric, **options)
            attempts.append((_measure(metric, pupil), source, pupil))
        accuracy, source, best = max(attempts, key=lambda attempt: attempt[0])  # of equals the shortest way
        model.load_state_dict(best.state_dict())
        teachers.append(Cached(model.eval(), data))
        paths.append((*paths[source], place))
        accuracies.append(accuracy)
    return Chain(student, paths[-1][:-1], tuple(accuracies))


@torch.no_grad()
def _measure(metric: Callable[[nn.Module], float], model: nn.Module) -> float:
    return float(metric(model.eval()))
