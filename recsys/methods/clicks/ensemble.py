"""Ensembled click-through prediction: a light net learns from several teachers, gated by row."""

from __future__ import annotations

from typing import Any

from torch import nn

from graphkd.core.loss import Loss
from graphkd.core.method import method
from recsys.data.rows import RowBatches
from recsys.evaluate.clicks import held_out
from recsys.losses.click_hint import ClickHint
from recsys.losses.soft_clicks import SoftClicks
from recsys.methods._clicks import ClickProblem
from recsys.methods.clicks._side_by_side import SideBySide


@method("ensemble_stop", preset={"label_free": True})
@method(
    "ensemble",
    family="clicks",
    paper="Zhu et al., CIKM 2020",
    arxiv="2011.04106",
    survey=(187,),
    tasks=("clicks",),
    needs=("teachers",),
)
def click_ensemble(
    problem: ClickProblem, *, weight: float = 1.0, temperature: float = 1.0, label_free: bool = False
) -> nn.Module:
    """Learn from several teachers, whose shares a gate learns row by row; choose it where their strengths differ.

    The loss is that of the labels plus ``weight`` times the cross-entropy with the teachers' gated click probabilities,
    softened by ``temperature``. label_free: choose the epoch by that cross-entropy on the validation rows instead of
    AUC, so that their labels are free for training. Costs O(N M^2) for M teachers, whose outputs are computed once.
    """
    return _learn(problem, weight, temperature, label_free=label_free)


@method(
    "ensemble_hint",
    family="clicks",
    paper="Zhu et al., CIKM 2020",
    arxiv="2011.04106",
    tasks=("clicks",),
    needs=("teachers", "hidden"),
)
def hinted_ensemble(
    problem: ClickProblem, *, weight: float = 1.0, temperature: float = 1.0, hint_weight: float = 0.01
) -> nn.Module:
    """Learn from several teachers, and a hidden layer from the first; choose it where the student is not too narrow.

    As ``ensemble``, plus ``hint_weight`` times the squared distance between the first teacher's hidden layer and a
    linear map of the student's.
    """
    widths = problem.width_of(problem.student), problem.width_of(problem.teacher)
    return _learn(problem, weight, temperature, hint=(hint_weight, widths))


def _learn(
    problem: ClickProblem,
    weight: float,
    temperature: float,
    *,
    label_free: bool = False,
    hint: tuple[float, tuple[int, int]] | None = None,
) -> nn.Module:
    soft = SoftClicks(temperature, teachers=len(problem.teachers))
    losses: dict[str, Loss] = {"clicks": problem.supervised(), "soft": weight * soft}
    taps = None
    if hint is not None:
        losses["hint"] = hint[0] * ClickHint(*hint[1])
        own, other = problem.hidden
        taps = {"hidden": (own, other)} if own is not None and other is not None else None
    distiller = problem.distiller(problem.student, SideBySide(problem.teachers), losses, taps=taps)
    judged: dict[str, Any] = {}
    if label_free:
        valid = RowBatches(problem.data, problem.data.valid, batch_size=8192, shuffle=False)
        judged["metric"] = held_out(distiller, valid, "soft")
    served: nn.Module = problem.train(distiller, **judged)
    return served
