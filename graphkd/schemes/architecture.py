"""Which student to train: a teacher ranks candidates early, and only the members that are right teach."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.distiller import Distiller
from graphkd.core.ensemble import Ensemble, stacked
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.teachers import Cached
from graphkd.core.view import Batch, Viewer
from graphkd.losses._checks import check_rows
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL
from graphkd.schemes.augment import changed
from graphkd.schemes.weights import oracle_weights, soft_target


def dissimilarity_correlation(student: Tensor, teacher: Tensor) -> Tensor:
    """How alike two representations arrange rows: (N, d_s), (N, d_t) -> scalar in [-1, 1].

    The Pearson correlation of the upper triangles of 1 - corr(x_i, x_j). Bashivan, Tensen and DiCarlo, ICCV 2019,
    arXiv:1808.01405. A row that is constant, and a side without differences, correlate with nothing: 0. O(N^2 d): give
    some hundreds of probe rows.
    """
    check_rows(student, teacher)
    s, t = (_correlations(x) for x in (student, teacher))
    return F.normalize(s - s.mean(), dim=0) @ F.normalize(t - t.mean(), dim=0)


def _correlations(x: Tensor) -> Tensor:
    if x.size(0) < 3:
        raise ValueError(f"dissimilarities need 3 rows at least, got {x.size(0)}")
    unit = F.normalize(x - x.mean(dim=1, keepdim=True), dim=1)
    one, other = torch.triu_indices(x.size(0), x.size(0), 1, device=x.device)
    return (unit @ unit.t())[one, other]


class Found(NamedTuple):
    """The student of the search; the score of every candidate early on; validation of those trained on, by place."""

    student: nn.Module
    scores: tuple[float, ...]
    accuracies: dict[int, float]


def guided_search(
    candidates: Sequence[nn.Module],
    teacher: nn.Module,
    data: Batch,
    *,
    hidden: tuple[Sequence[str], str],
    metric: Callable[[nn.Module], float],
    probes: Tensor,
    early: int = 20,
    keep: int = 2,
    losses: Loss | None = None,
    **options: Any,
) -> Found:
    """Train candidates for ``early`` epochs, go on with the ``keep`` that arrange rows most as the teacher does.

    Choose it to find a student's width and depth at a fraction of the cost of training all; after Bashivan et al.,
    2019, whose search and aggregation over layers we do not follow: one layer of each model, ``hidden``, (a tap path of
    every candidate, the teacher's), is compared by ``dissimilarity_correlation`` on the rows ``probes``. The best of
    those trained on by ``metric`` is the student. losses: by default CE(where="train_mask") + KL(4). options go to
    ``fit``.
    """
    if not 1 <= keep <= len(candidates) or len(hidden[0]) != len(candidates):
        raise ValueError(
            f"'keep' must be from 1 to the {len(candidates)} candidates, with a path each, got {keep} and {hidden[0]}"
        )
    losses = CE(where="train_mask") + KL(4.0) if losses is None else losses
    known, want = Cached(teacher, data), hidden_of(teacher, hidden[1], data)[probes]
    short = {**options, "epochs": early, "patience": None}
    scores = []
    for model, path in zip(candidates, hidden[0], strict=True):
        fit(Distiller(model, known, copy.deepcopy(losses)), data, **short)
        scores.append(float(dissimilarity_correlation(hidden_of(model, path, data)[probes], want)))
    best = sorted(range(len(candidates)), key=lambda place: -scores[place])[:keep]
    accuracies = {}
    for place in best:
        fit(Distiller(candidates[place], known, copy.deepcopy(losses)), data, metric=metric, **options)
        with torch.no_grad():
            accuracies[place] = float(metric(candidates[place]))
    return Found(candidates[max(best, key=lambda place: accuracies[place])], tuple(scores), accuracies)


@torch.no_grad()
def hidden_of(model: nn.Module, path: str, data: Batch) -> Tensor:
    """What a layer shows of a batch, in eval mode and without gradients."""
    viewer = Viewer(model.eval(), taps={"hidden": path})
    try:
        return viewer(data)["hidden"]
    finally:
        viewer.close()


def oracle_student(
    student: nn.Module,
    teachers: Sequence[nn.Module],
    data: Batch,
    *,
    temperature: float = 3.0,
    weight: float = 1.0,
    **options: Any,
) -> nn.Module:
    """CE plus KL from the members that are right about a labelled row. Kang et al., AAAI 2020, arXiv:1911.13019.

    Choose it for an ensemble whose members fail on different rows: ``oracle_kd``'s loss. Rows outside ``train_mask``
    teach nothing here, since nobody knows who is right about them. With ``guided_search`` over widths and depths it
    stands for the paper's search by a learnt controller. options go to ``fit``.
    """
    known = [Cached(teacher, data) for teacher in teachers]
    answers = Ensemble(known, stacked)(data)["logits"].transpose(0, 1)
    right = data["train_mask"] & oracle_weights(answers, data["y"]).any(dim=0)
    share = float(right.sum() / data["train_mask"].sum())
    oracle = Ensemble(known, partial(soft_target, temperature=temperature), weights=oracle_weights)
    losses = {"labels": CE(where="train_mask"), "oracle": weight * share * KL(temperature, where="right")}
    return fit(Distiller(student, oracle, losses), changed(data, right=right), **options)
