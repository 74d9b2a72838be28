"""Labels at a high temperature, then a student of these answers, at the same one (defensive distillation).

Papernot, McDaniel, Wu, Jha and Swami, "Distillation as a Defense to Adversarial Perturbations against Deep Neural
Networks", IEEE S&P 2016, arXiv:1511.04508.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from graphkd.core.distiller import Distiller
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.view import Viewer
from graphkd.losses._checks import check_positive
from graphkd.losses.response.soft_ce import SoftCE


@method(
    "defensive",
    family="robust",
    paper="Papernot et al., IEEE S&P 2016",
    arxiv="1511.04508",
    survey=(163,),
    tasks=("classes",),
    cannot={"ensemble": "it trains a model of its teacher's kind"},
    teacher=False,
)
def defensive(problem: Problem, *, temperature: float = 20.0) -> nn.Module:
    """Learn labels at a high temperature, then a student of these answers alone; choose it as a baseline.

    A new model of the teacher's architecture (of the student's in the paper, and here without a teacher) learns CE of
    softmax(t / T) on labelled rows; the student learns ``SoftCE(T)`` on all rows. Both are used at T = 1, where their
    gradients are small. It is no protection: attacks on the logits before softmax still succeed (Carlini and Wagner,
    IEEE S&P 2017, arXiv:1608.04644). The paper has T = 20 on MNIST and 100 on CIFAR. Both losses are multiplied by T^2,
    unlike the paper's: Adam's steps do not depend on it, but without it weight decay in the gradient outweighs them at
    a high T. Costs two trainings.
    """
    check_positive("temperature", temperature)
    model = problem.fresh_student(0) if problem.teacher is None else problem.fresh(problem.teacher.model, 0)
    way = problem.call_of(model if problem.teacher is None else problem.teacher)

    def divided(model: nn.Module, batch: Any) -> Tensor:
        return Viewer(model, call=way)(batch)["logits"] / temperature

    scale = temperature**2
    model = problem.train(Distiller(model, losses=scale * problem.supervised(), call=divided), "teacher")
    return problem.train(problem.distiller(problem.student, model, scale * SoftCE(temperature)), "student")
