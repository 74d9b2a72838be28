"""PCKD: a teacher's tables by routed experts that keep the student's order of items."""

from __future__ import annotations

from typing import Literal, get_args

from torch import nn

from graphkd.core.method import method
from graphkd.losses._checks import choose
from recsys.data.source import Source
from recsys.losses.pckd import PCKD, Form
from recsys.methods._ranking import RankingProblem
from recsys.sources.pckd import PCKDLists, top_of_all

Guide = Literal["teacher", "student", "uniform"]


@method(
    "pckd",
    family="tables",
    paper="Zhu and Zhang, TKDE 2025",
    arxiv="2311.04549",
    tasks=("ranking", "sequential"),
    needs=("student_tables", "teacher_tables"),
)
def preference_consistent_distillation(
    problem: RankingProblem,
    *,
    weight: float = 0.05,
    experts: int = 30,
    alpha: float = 0.1,
    tau: float = 0.1,
    form: Form = "list",
    guide: Guide = "teacher",
    k: int = 5,
    length: int = 100,
    scale: float = 10.0,
) -> nn.Module:
    """Reconstruct the teacher's tables by experts that keep the student's order; choose it where DE helps already.

    As ``de``; the ``experts`` are also trained to rank ``k`` items of a user as the student itself does, with weight
    ``alpha`` and temperature ``tau``: as a "list", as the first "pair" of them, or, for "batch", the positive beside
    the negatives. guide: the ranking whose first ``length`` items they are drawn from in each epoch, first items more
    often, the more so the smaller ``scale``: the "teacher"'s or the "student"'s in that epoch; or "uniform" items.
    Defaults are the authors' for BPR on CiteULike. See ``recsys.losses.PCKD``.
    """
    choose("guide", guide, get_args(Guide))
    pairs = problem.pairs
    sources = dict[str, Source]()
    if form != "batch":
        items = pairs.num_items - int(pairs.padding)
        length = problem.at_most("length", length, items)
        k = 2 if form == "pair" else problem.at_most("k", k, items if guide == "uniform" else length)
        ranking = None if guide == "uniform" else problem.ranked_student
        if guide == "teacher":
            teacher = problem.teacher.model
            ranking = problem.once(f"top-{length}-of-all-items", lambda: top_of_all(teacher, pairs, length))
        sources["pckd"] = PCKDLists(ranking, pairs, k=k, length=length, scale=scale)
    loss = PCKD(*problem.widths, experts, alpha=alpha, tau=tau, form=form)
    return problem.learn(problem.supervised() + weight * loss, **sources)
