"""Parallel data: the student sees changed rows, such as it will serve on, the teacher the same rows unchanged.

Li, Seltzer, Wang, Zhao and Gong, "Large-Scale Domain Adaptation via Teacher-Student Learning", Interspeech 2017,
arXiv:1708.05466.
"""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.schemes.augment import Change, Changed, noise_of, told


@method(
    "parallel_data",
    family="semi",
    paper="Li et al., Interspeech 2017",
    arxiv="1708.05466",
    survey=(51, 75),
    space={"rate": (0.007, 0.9)},
)
def parallel_data(
    problem: Problem, *, temperature: float = 1.0, rate: float = 0.2, noise: Change | None = None
) -> nn.Module:
    """Match, on a changed batch, the teacher's answers to the same rows unchanged.

    Choose it where the student is to serve under worse conditions than the teacher: sampled neighbours, missing
    features, the short profile of a new user; it needs pairs of both conditions, but no labels. noise, rate: the
    student's condition, as in ``function_matching`` (the paper has far-field speech, ICASSP 2018, and adaptation at
    large scale). The paper's student starts as a copy of the teacher: give one where the architectures are equal.
    """
    data = Changed(problem.with_values(told=problem.view_of(problem.teacher)), noise_of(noise, rate))
    task = problem.distiller(problem.student, told("told"), problem.soft(temperature))
    return problem.train(task, data=data)
