"""Noisy student: each student learns, under noise, what the model before it answers without noise.

Xie, Luong, Hovy and Le, "Self-training with Noisy Student improves ImageNet classification", CVPR 2020,
arXiv:1911.04252.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.response.pseudo_label import PseudoLabel
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.augment import Change, Changed, noise_of, told
from graphkd.schemes.semi._pseudo_labels import select_pseudo_labels, unlabelled_nodes


@method(
    "noisy_student",
    family="semi",
    paper="Xie et al., CVPR 2020",
    arxiv="1911.04252",
    survey=(5,),
    space={"threshold": (0.1, 0.99), "rate": (0.007, 0.9)},
)
def noisy_student(
    problem: Problem,
    *,
    iterations: int = 2,
    threshold: float = 0.3,
    per_class: int | None = None,
    soft: bool = True,
    rate: float = 0.2,
    noise: Change | None = None,
    students: Sequence[nn.Module] | None = None,
) -> nn.Module:
    """Train students one after the other, each on a changed graph, on the confident answers of the one before.

    Choose it where labels are few, other rows many, and accuracy counts more than size: students should be as large as
    the teacher or larger, and have dropout. The teacher labels all rows without a label; ``select_pseudo_labels``
    selects those with a confidence of at least ``threshold``, ``per_class`` of each class where that is given. The
    student minimises the mean cross-entropy over labelled and selected rows, and is the next teacher. iterations:
    number of students, of which the last is the given one (3 in the paper). students: the models before it, in place of
    ``iterations`` - 1 new ones of its architecture. soft: pseudo-labels are probabilities, else classes. noise, rate:
    as in ``function_matching``; the paper has RandAugment and stochastic depth, for images. Its batches have 14 or 28
    times as many unlabelled rows as labelled ones, ours have all rows. Raises ValueError for fewer than one iteration.
    """
    if iterations < 1:
        raise ValueError(f"'iterations' must be at least 1, got {iterations}")
    if students is None:
        students = [problem.fresh_student(number) for number in range(1, iterations)]
    trained, teacher = problem.student, problem.teacher
    for number, student in enumerate([*students, problem.student], 1):
        answers = problem.view_of(teacher)
        select = partial(_confident, answers, unlabelled_nodes(problem).to(answers.device), threshold, per_class)
        chosen = problem.once(f"pseudo-{number}", select)
        data = problem.with_rows(problem.with_values(told=answers), pseudo=chosen)
        losses = _losses(problem, chosen.numel(), SoftCE(where="pseudo") if soft else PseudoLabel(0.0, where="pseudo"))
        task = problem.distiller(student, told("told"), losses)
        trained = problem.train(task, f"student-{number}", Changed(data, noise_of(noise, rate)))
        teacher = problem.taught_by(trained)
    return trained


def _confident(answers: Tensor, unlabelled: Tensor, threshold: float, per_class: int | None) -> Tensor:
    """Return the ids of the nodes that get pseudo-labels."""
    return unlabelled[select_pseudo_labels(answers[unlabelled], threshold, per_class)[0]]


def _losses(problem: Problem, others: int, pseudo: Loss) -> dict[str, Any]:
    """Make the mean loss over labelled and chosen rows, as a sum of two means."""
    count = problem.labelled_nodes.numel()
    labels = count / (count + others) * problem.supervised()
    return {"labels": labels, "pseudo": others / (count + others) * pseudo}
