"""STAC: a student learns labels, and a teacher's confident decisions, on a changed graph.

Sohn, Zhang, Li, Zhang, Lee and Pfister, "A Simple Semi-Supervised Learning Framework for Object Detection", 2020,
arXiv:2005.04757.
"""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.response.pseudo_label import PseudoLabel
from graphkd.schemes.augment import Change, Changed, noise_of, told


@method(
    "stac",
    family="semi",
    paper="Sohn et al., 2020",
    arxiv="2005.04757",
    survey=(6,),
    space={"threshold": (0.3, 0.99), "rate": (0.007, 0.9)},
)
def stac(
    problem: Problem, *, threshold: float = 0.9, weight: float = 2.0, rate: float = 0.2, noise: Change | None = None
) -> nn.Module:
    """Learn the labels, and the teacher's confident decisions, on a graph that is changed at every step.

    Choose it for one round of self-training, where the teacher is confident about many rows. The loss is CE +
    ``weight`` ``PseudoLabel(threshold)`` on the rows without a label; the teacher's answers are those about the
    unchanged graph. noise, rate: as in ``function_matching``. A step costs no more than with the labels alone.
    """
    losses = {"labels": problem.supervised(), "pseudo": weight * PseudoLabel(threshold, where=f"~{problem.labelled}")}
    data = Changed(problem.with_values(told=problem.view_of(problem.teacher)), noise_of(noise, rate))
    return problem.train(problem.distiller(problem.student, told("told"), losses), data=data)
