"""CD: soft targets on items that are drawn by rank, by the teacher's or by the student's."""

from __future__ import annotations

from typing import Literal, get_args

from torch import nn

from graphkd.core.method import method
from graphkd.losses._checks import choose
from recsys.losses.cd import CD
from recsys.methods._ranking import RankingProblem
from recsys.sources.cd import CDLists

Guide = Literal["teacher", "student"]


@method("cd_student", preset={"guide": "student"})
@method(
    "cd",
    family="lists",
    paper="Lee et al., ICDM 2019",
    arxiv="1911.05276",
    survey=(188,),
    tasks=("ranking", "sequential"),
)
def collaborative_distillation(
    problem: RankingProblem,
    *,
    weight: float = 0.5,
    k: int = 10,
    guide: Guide = "teacher",
    temperature: float = 2.0,
    length: int = 3000,
    flatness: float = 20.0,
    rerank: int = 5,
) -> nn.Module:
    """Learn the teacher's probabilities of items drawn by rank; choose it where scores of the teacher are calibrated.

    In every epoch, k of a user's first ``length`` items are drawn, high ranks more often; a larger ``flatness`` evens
    this out. guide: whose ranking is used. The student's is recomputed every ``rerank`` epochs, O(U I d) each, and
    corrects items that it ranks too high. weight: multiplied by the batch size, as for means over rows.
    """
    choose("guide", guide, get_args(Guide))
    own = guide == "student"
    model = problem.ranked_student if own else problem.teacher.model
    k = problem.at_most("k", k, min(length, problem.room()))
    lists = CDLists(model, problem.pairs, k=k, length=length, flatness=flatness, rerank=rerank if own else None)
    return problem.learn(problem.supervised() + weight * problem.batch_size * CD(temperature), cd=lists)
