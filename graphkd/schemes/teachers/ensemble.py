"""Distillation from the mean answer of several teachers."""

from __future__ import annotations

from functools import partial

from torch import nn

from graphkd.core.ensemble import Ensemble, mean_logits
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import choose
from graphkd.schemes.teachers._combine import Average, soft_target


@method("ensemble_logits", preset={"average": "logits"})
@method(
    "ensemble",
    family="teachers",
    paper="Hinton et al., 2015",
    arxiv="1503.02531",
    survey=(52,),
    needs=("teachers",),
    space={"label_weight": (0.003, 0.97)},
)
def ensemble(
    problem: Problem, *, average: Average = "probabilities", label_weight: float = 0.1, temperature: float = 4.0
) -> nn.Module:
    """Learn the labels and the mean answer of several teachers; choose it where they are trained on the same task.

    Try it first with several teachers: methods that weight them are seldom much better. average: of the "probabilities"
    softened by ``temperature``, or of the "logits", a geometric mean, in which a confident teacher counts for more. The
    loss is ``label_weight`` CE + (1 - ``label_weight``) KL at that temperature. For a single graph the teachers are
    evaluated once; a step then costs what plain distillation does. For weights of teachers, and other rules, give an
    ``Ensemble`` as the teacher of "kd".
    """
    choose("average", average, ("probabilities", "logits"))
    combine = mean_logits if average == "logits" else partial(soft_target, temperature=temperature)
    losses = label_weight * problem.supervised() + (1 - label_weight) * problem.soft(temperature)
    teacher = Ensemble(problem.teachers, combine)
    return problem.train(problem.distiller(problem.student, teacher, losses))
