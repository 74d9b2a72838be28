"""Synthetic rows, made from real ones, for an ensemble to label: model compression where unlabelled data are few.

Bucila, Caruana and Niculescu-Mizil, "Model Compression", KDD 2006.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import changed, on_device
from graphkd.core.ensemble import Ensemble
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.view import names
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.augment import asked_anew, told
from graphkd.schemes.teachers._combine import soft_target
from graphkd.schemes.teachers._several import Expanded

_BLOCK = 2**24  # entries of a block of distances


def nearest_rows(x: Tensor) -> Tensor:
    """Find the nearest other row of every row, by Euclidean distance: (N, d) -> (N,), N above 1; O(N^2 d)."""
    if x.dim() != 2 or x.size(0) < 2:
        raise ValueError(f"'x' must have shape (N, d), N above 1, got {tuple(x.shape)}")
    found = []
    for rows in torch.arange(x.size(0), device=x.device).split(max(_BLOCK // x.size(0), 1)):
        apart = torch.cdist(x[rows], x)
        found.append(apart.scatter(1, rows[:, None], torch.inf).argmin(dim=1))
    return torch.cat(found)


def is_discrete(x: Tensor) -> Tensor:
    """Find the columns that hold two values at most, flags and words: (N, d) -> (d,)."""
    low, high = x.amin(dim=0), x.amax(dim=0)
    return ((x == low) | (x == high)).all(dim=0)


def munge(
    x: Tensor,
    *,
    chance: float = 0.2,
    spread: float = 2.0,
    discrete: Tensor | None = None,
    nearest: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mix rows with their nearest into one copy: (N, d) -> (N, d). MUNGE of Bucila et al., KDD 2006.

    For each row e in turn and its nearest row e', each attribute a is mixed with probability ``chance``: discrete ones
    are swapped; of the others both e_a and e'_a are drawn anew, from N(e'_a, v) and N(e_a, v), v the standard deviation
    |e_a - e'_a| / ``spread``. Rows change in place, so that a row that is nearest to several is mixed several times;
    nearest rows are those of the unchanged ``x``. discrete: mask (d,), by default ``is_discrete``; nearest: (N,), by
    default ``nearest_rows``, O(N^2 d). ``chance`` and ``spread`` are the paper's p and s, whose values it searches.
    Costs N steps of O(d). Raises ValueError for a ``chance`` outside [0, 1], and unless ``spread`` is above 0.
    """
    if not 0 <= chance <= 1 or spread <= 0:
        raise ValueError(f"'chance' must be in [0, 1] and 'spread' above 0, got {chance} and {spread}")
    made, swaps = x.clone(), is_discrete(x) if discrete is None else discrete
    partners = nearest_rows(x) if nearest is None else nearest
    for row, other in enumerate(partners.tolist()):
        mixed = torch.rand(x.size(1), generator=generator, device=x.device) < chance
        one, two = made[row].clone(), made[other].clone()
        deviation = torch.where(swaps, 0, (one - two).abs() / spread)
        noise = torch.randn(2, x.size(1), generator=generator, device=x.device, dtype=x.dtype) * deviation
        made[row] = torch.where(mixed, two + noise[0], one)
        made[other] = torch.where(mixed, one + noise[1], two)
    return made


@method(
    "munge",
    family="teachers",
    paper="Bucila et al., KDD 2006",
    survey=(124,),
    needs=("teachers",),
    cannot={"sparse": "it looks for neighbours by their features"},
    space={"chance": (0.01, 0.9)},
)
def munge_method(problem: Problem, *, copies: int = 3, chance: float = 0.2, spread: float = 2.0) -> nn.Module:
    """Label real and made-up rows by an ensemble, and learn them all; choose it for tables with few rows in all.

    Tables are features of nodes, users or items; one network is to do as well as an ensemble, with few rows beyond the
    labelled ones (model compression). The student learns the teachers' mean probabilities by cross-entropy, without
    labels, on the unchanged rows and on ``copies`` copies in which each row is mixed with its nearest: see ``munge``
    for ``chance`` and ``spread``. Rows keep their edges. An epoch goes through ``copies`` + 1 batches of the size of
    the data. For a single graph they are made and labelled once, in O(N^2 F) and N short steps per copy; with a loader
    every batch is mixed within itself when it is loaded, by the same random draws each time. Raises ValueError for
    negative ``copies``.
    """
    if copies < 0:
        raise ValueError(f"'copies' must be at least 0, got {copies}")
    ensemble = Ensemble([asked_anew(each) for each in problem.teachers], partial(soft_target, temperature=1.0))

    def labelled(batch: Any) -> Any:
        return changed(batch, told=ensemble(on_device(batch, problem.device))["logits"])

    def several(batch: Any, nearest: Tensor | None = None) -> list[Any]:
        x: Tensor = batch["x"]
        if nearest is None:
            nearest = nearest_rows(x) if x.size(0) > 1 else x.new_zeros(1, dtype=torch.long)  # a row alone stays
        made = [labelled(batch)]
        for number in range(copies):
            generator = torch.Generator(x.device).manual_seed(problem.seed + number)
            rows = munge(x, chance=chance, spread=spread, nearest=nearest, generator=generator)
            made.append(labelled(changed(batch, x=rows)))
        return made

    if names(problem.data) is None:
        data: Any = Expanded(problem.data, several, copies + 1)
    else:
        nearest = problem.once("nearest", lambda: nearest_rows(problem.data["x"])) if copies else None
        data = several(problem.data, nearest)
    return problem.train(problem.distiller(problem.student, told("told"), SoftCE()), data=data)
