"""Rocket launching: a light net learns beside a booster that shares its embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from graphkd.core.loss import Loss
from graphkd.core.method import method
from recsys.losses.rocket import Rocket
from recsys.methods._clicks import ClickProblem
from recsys.models.clicks import RocketNet


@method(
    "rocket",
    family="clicks",
    paper="Zhou et al., AAAI 2018",
    arxiv="1708.04106",
    survey=(186,),
    tasks=("clicks",),
    needs=("booster",),
    teacher=False,
)
def rocket_launching(
    problem: ClickProblem, *, booster: nn.Module, weight: float = 0.03, shared: Sequence[str] | None = None
) -> nn.Module:
    """Train a light net beside a larger one that shares its embeddings; choose it where no teacher is trained.

    Both nets learn the labels, and the light net also learns the booster's logits, with weight ``weight``; only the
    light net serves. booster: any model of clicks. shared: paths of the modules that both share, by default the
    student's ``embeddings``; the booster's must have the same shapes. Costs the training of both nets.
    """
    return _launch(problem, booster, shared, {"rocket": 1.0 * Rocket(weight)}, taught=False)


@method(
    "rocket_kd",
    family="clicks",
    paper="Zhou et al., AAAI 2018",
    arxiv="1708.04106",
    tasks=("clicks",),
    needs=("booster",),
)
def taught_rocket(
    problem: ClickProblem,
    *,
    booster: nn.Module,
    weight: float = 0.03,
    soft_weight: float = 1.0,
    temperature: float = 1.0,
    shared: Sequence[str] | None = None,
) -> nn.Module:
    """Train a light net beside a booster and by a trained teacher; choose it where rocket launching helps already.

    As ``rocket``, plus ``soft_weight`` times the cross-entropy with the teacher's click probabilities.
    """
    losses = {"rocket": 1.0 * Rocket(weight), "soft": soft_weight * problem.soft(temperature)}
    return _launch(problem, booster, shared, losses, taught=True)


def _launch(
    problem: ClickProblem, booster: nn.Module, shared: Sequence[str] | None, losses: Mapping[str, Loss], *, taught: bool
) -> nn.Module:
    student = problem.student
    paths = getattr(student, "embeddings", ()) if shared is None else shared
    net = RocketNet(student, booster.to(problem.device), paths, call=problem.call_of(student))
    distiller = problem.distiller(net, problem.teacher if taught else None, losses)
    served: nn.Module = problem.train(distiller, serve=lambda both: both.light)
    return served
