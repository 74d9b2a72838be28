"""Choice of the student to train: a teacher ranks candidates early.

Bashivan, Tensen and DiCarlo, "Teacher Guided Architecture Search", ICCV 2019, arXiv:1808.01405.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.models import shown
from graphkd.core.problem import Problem
from graphkd.kernels.norms import correlations, deviations, unit_vectors
from graphkd.losses._checks import check_rows


def dissimilarity_correlation(student: Tensor, teacher: Tensor) -> Tensor:
    """Measure how alike two representations arrange rows: (N, d_s), (N, d_t) -> scalar in [-1, 1].

    The Pearson correlation of the upper triangles of 1 - corr(x_i, x_j). Bashivan et al., ICCV 2019, arXiv:1808.01405.
    Constant rows have correlation 0 with all others; a side whose dissimilarities are all equal gives 0. O(N^2 d): give
    some hundreds of probe rows. Raises ValueError for fewer than 3 rows.
    """
    check_rows(student, teacher)
    s, t = (_correlations(x) for x in (student, teacher))
    return correlations(s, t, 0)


def _correlations(x: Tensor) -> Tensor:
    if x.size(0) < 3:
        raise ValueError(f"dissimilarities need 3 rows at least, got {x.size(0)}")
    unit = unit_vectors(deviations(x, 1))
    one, other = torch.triu_indices(x.size(0), x.size(0), 1, device=x.device)
    return (unit @ unit.t())[one, other]


@method(
    "guided_search",
    family="teachers",
    paper="Bashivan et al., ICCV 2019",
    arxiv="1808.01405",
    survey=(201,),
    needs=("hidden", "candidates"),
    cannot={"student": "it trains its 'candidates', and gives back one of them"},
)
def guided_search(
    problem: Problem,
    *,
    candidates: Sequence[nn.Module],
    paths: Sequence[str] | None = None,
    early: int = 20,
    keep: int = 2,
    probes: int = 500,
    temperature: float = 4.0,
) -> nn.Module:
    """Train candidates for some epochs, continue those that arrange rows most as the teacher does, return the best.

    Choose it to find a student's width and depth at a fraction of the cost of training all. One hidden layer of each
    model is compared with the teacher's, by ``dissimilarity_correlation`` on ``probes`` random nodes, after ``early``
    epochs (unless the user gives ``epochs``). The ``keep`` best are trained further, and validation chooses among them.
    The paper's search and its aggregation over layers are not followed. All learn the labels and soft targets.
    candidates: students, called as the student is. paths: tap path of the hidden layer of each, by default ``hidden``.
    Raises ValueError unless ``keep`` is from 1 to the number of candidates, with one path each.
    """
    paths = paths or [problem.hidden[0] or ""] * len(candidates)
    if not 1 <= keep <= len(candidates) or len(paths) != len(candidates):
        raise ValueError(
            f"'keep' must be from 1 to the {len(candidates)} candidates, with a path each, got {keep} and {paths}"
        )
    losses = {"labels": problem.supervised(), "soft": problem.soft(temperature)}
    rows = problem.once("probes", lambda: torch.randperm(problem.nodes)[:probes])
    want, scores = problem.view_of(problem.teacher, "hidden")[rows], []
    for place, (model, path) in enumerate(zip(candidates, paths, strict=True), 1):
        task = problem.distiller(model, problem.teacher, losses)
        model = problem.train(task, f"early-{place}", epochs=early, patience=None)
        hidden = _hidden(problem, model, path)
        scores.append(float(dissimilarity_correlation(hidden[rows], want.to(hidden.device))))
    order = problem.once("order", lambda: sorted(range(len(candidates)), key=lambda place: -scores[place]))
    found = [
        problem.train(problem.distiller(candidates[place], problem.teacher, losses), f"candidate-{place + 1}")
        for place in order[:keep]
    ]
    return max(found, key=problem.score) if keep > 1 else found[0]


def _hidden(problem: Problem, model: nn.Module, path: str) -> Tensor:
    """Compute a hidden layer of all nodes, (N, d)."""
    with shown(model, problem.call_of(model), path) as show:
        return problem.gather(lambda batch: show(batch)["hidden"])
