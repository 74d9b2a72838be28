"""Students that answer to changed features what their teacher answers to the unchanged ones (ARD).

Goldblum, Fowl, Feizi and Goldstein, "Adversarially Robust Distillation", AAAI 2020, arXiv:1905.09747.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import Reduction, kl
from graphkd.schemes.robust._attack import RobustDistiller, attack_of


def ard(
    student: Tensor,
    adversarial: Tensor,
    teacher: Tensor,
    y: Tensor,
    temperature: float = 30.0,
    *,
    alpha: float = 1.0,
    reduction: Reduction = "batchmean",
) -> Tensor:
    """Compute soft targets under attack, and labels: (N, C) three times, (N,) -> scalar.

    alpha T^2 KL(teacher || adversarial) + (1 - alpha) CE(student, y). student, teacher: logits of the features as they
    are; adversarial: the student's of those changed against it. The authors' code divides the first by N C too:
    ``reduction="elementmean"``.
    """
    soft = kl(adversarial, teacher, temperature, reduction=reduction)
    return alpha * soft + (1 - alpha) * cross_entropy(student, y)


@method(
    "ard_plain", family="robust", paper="Goldblum et al., AAAI 2020", arxiv="1905.09747", space={"alpha": (0.1, 1.0)}
)
def ard_plain_method(
    problem: Problem,
    *,
    epsilon: float = 0.03137254901960784,
    steps: int = 3,
    step_share: float = 0.5,
    temperature: float = 30.0,
    alpha: float = 1.0,
) -> nn.Module:
    """Answer to changed features what the teacher answers to the unchanged ones, by a teacher as it is.

    Choose it where somebody may change features a little and the teacher is robust already, or to see what ``ard``
    gains by a robust one. Attack and loss are those of ``RobustDistiller``; ``epsilon`` is the authors' 8/255, for
    images, who take 10 steps. Runs to the last epoch: accuracy on unchanged validation nodes says little about changed
    ones. Costs ``steps`` more passes forward and backward a step.
    """
    attack = attack_of(epsilon, steps, step_share)
    return _distilled(problem, problem.teacher, temperature=temperature, alpha=alpha, **attack)


@method(
    "ard",
    family="robust",
    paper="Goldblum et al., AAAI 2020",
    arxiv="1905.09747",
    cannot={"ensemble": "it trains a robust model of its teacher's kind"},
    space={"alpha": (0.1, 1.0)},
)
def ard_method(
    problem: Problem,
    *,
    epsilon: float = 0.03137254901960784,
    steps: int = 3,
    step_share: float = 0.5,
    temperature: float = 30.0,
    alpha: float = 1.0,
) -> nn.Module:
    """Train a robust model of the teacher's kind, then a student that answers to changed features as it does.

    Choose it where somebody may change features a little: the authors' teachers are robust themselves, here by
    adversarial training as in ``adversarial``. See ``ard_plain`` for the second stage. Costs two trainings, with
    ``steps`` more passes forward and backward a step.
    """
    attack = attack_of(epsilon, steps, step_share)
    model = problem.fresh(problem.teacher.model, 0)
    labels, call = problem.supervised(), problem.call_of(problem.teacher)
    model = problem.train(RobustDistiller(model, labels=labels, call=call, **attack), "teacher", choose=False)
    return _distilled(problem, problem.taught_by(model), temperature=temperature, alpha=alpha, **attack)


def _distilled(problem: Problem, teacher: Frozen, **options: Any) -> nn.Module:
    labels, call = problem.supervised(), problem.call_of(problem.student)
    targets = problem.task.targets
    distiller = RobustDistiller(problem.student, teacher, labels=labels, targets=targets, call=call, **options)
    return problem.train(distiller, choose=False)
