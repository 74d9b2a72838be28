"""Hints and class-weighted soft targets, as detectors are distilled (Chen et al.)."""

from __future__ import annotations

import torch

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.features.fitnet import FitNet
from graphkd.losses.response.soft_ce import SoftCE


@method(
    "hint", family="features", paper="Chen et al., NeurIPS 2017", survey=(45,), tasks=("classes",), needs=("hidden",)
)
def hint_method(
    problem: Problem,
    *,
    weight: float = 0.5,
    label_weight: float = 0.5,
    background: int | None = None,
    background_weight: float = 1.5,
) -> Loss:
    """Learn labels, class-weighted soft targets and the teacher's hidden rows together; choose it for rare classes.

    label_weight CE + (1 - label_weight) SoftCE + weight FitNet, with a linear layer from the student's hidden width to
    the teacher's. ``background``: the id of a class, such as "no interaction", whose soft targets count
    ``background_weight`` times; none by default. The paper's bounded regression is the method ``teacher_bounded``. We
    do not know how the paper weighs labels and soft targets; the default is one half each.
    """
    weights = torch.ones(problem.classes)
    if background is not None:
        weights[background] = background_weight
    soft = SoftCE(class_weights=weights.to(problem.device))
    hard = label_weight * problem.supervised() + (1 - label_weight) * soft
    return hard + weight * FitNet(*problem.widths)
