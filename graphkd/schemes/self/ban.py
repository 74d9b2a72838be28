"""Born-again networks: generations of one architecture, each taught by the one before, and all of them at last.

Furlanello, Lipton, Tschannen, Itti and Anandkumar, "Born-Again Neural Networks", ICML 2018, arXiv:1805.04770.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from graphkd.core.ensemble import Ensemble
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, View
from graphkd.losses._checks import choose
from graphkd.losses.response.confidence_weighted import ConfidenceWeighted
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes._together import Together

Dark = Literal["kd", "cwtm", "dkpp"]


@method("ban_ensemble", preset={"together": True})
@method("ban_dkpp", preset={"kind": "dkpp"})
@method("ban_cwtm", preset={"kind": "cwtm"})
@method(
    "ban",
    family="self",
    paper="Furlanello et al., ICML 2018",
    arxiv="1805.04770",
    survey=(24,),
    tasks=("classes",),
    teacher=False,
)
def born_again(
    problem: Problem, *, generations: int = 3, kind: Dark = "kd", label_weight: float = 0.0, together: bool = False
) -> nn.Module:
    """Train generations of one architecture, each taught by the one before; choose it to improve a model of fixed size.

    The first is taught by the teacher or, where there is none, by the labels alone. Generation k minimises a loss
    against generation k - 1, by ``kind``: "kd", soft CE at T = 1 on all rows; "cwtm", CE weighted by the teacher's
    confidence, on labelled rows; "dkpp", soft CE with all probabilities except the largest shuffled row by row, anew at
    every step. ``label_weight`` times the labels' loss is added (0: the paper's best). together: return the generations
    as one, ``Together``, with their mean probabilities, as the paper's ensemble, in place of the last generation. Costs
    ``generations`` trainings. Raises ValueError for fewer than one.
    """
    choose("kind", kind, get_args(Dark))
    if generations < 1:
        raise ValueError(f"'generations' must be at least 1, got {generations}")
    found, teacher = [], problem.teacher
    for number in range(1, generations + 1):
        model = problem.student if number == 1 else problem.fresh_student(number)
        losses = problem.supervised() if teacher is None else _losses(problem, kind, label_weight)
        shown = Shuffled(teacher) if kind == "dkpp" and teacher is not None else teacher
        found.append(problem.train(problem.distiller(model, shown, losses), f"generation-{number}"))
        teacher = problem.taught_by(found[-1])
    return Together(found) if together else found[-1]


def _losses(problem: Problem, kind: Dark, label_weight: float) -> Loss:
    soft = ConfidenceWeighted(where=problem.labelled) if kind == "cwtm" else 1.0 * SoftCE()
    return soft + label_weight * problem.supervised() if label_weight else soft


def shuffle_others(logits: Tensor) -> Tensor:
    """Shuffle all entries of each row except the largest: (N, C) -> (N, C). DKPP."""
    first = logits.argmax(dim=1, keepdim=True)
    keys = torch.rand_like(logits, dtype=torch.float32).scatter(1, first, -1.0)  # the largest entry comes first
    order = keys.argsort(dim=1)
    places = torch.arange(logits.size(1), device=logits.device).expand_as(logits)
    places = places.masked_fill(places == first, -1).argsort(dim=1, stable=True)  # its own place, then the others
    return torch.empty_like(logits).scatter(1, places, logits.gather(1, order))


class Shuffled(Ensemble):
    """Teacher whose dark knowledge is shuffled at every step, so that only its confidence remains (DKPP)."""

    def __init__(self, teacher: Frozen) -> None:
        super().__init__([teacher])
        self._stays = False

    def __call__(self, batch: Batch, taps: Mapping[str, str] | None = None) -> View:
        """Return the teacher's view, its logits shuffled."""
        view = super().__call__(batch, taps)
        return {**view, "logits": shuffle_others(view["logits"])}
