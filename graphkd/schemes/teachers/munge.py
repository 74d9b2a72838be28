"""Rows made up from real ones, for an ensemble to label: model compression where unlabelled data are few.

Bucila, Caruana and Niculescu-Mizil, "Model Compression", KDD 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Distiller
from graphkd.core.ensemble import Ensemble
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.augment import changed, told
from graphkd.schemes.weights import soft_target

_BLOCK = 2**24  # entries of a block of distances


def nearest_rows(x: Tensor) -> Tensor:
    """The nearest other row of every row, by Euclidean distance: (N, d) -> (N,), N above 1; memory of a block."""
    if x.dim() != 2 or x.size(0) < 2:
        raise ValueError(f"'x' must have shape (N, d), N above 1, got {tuple(x.shape)}")
    found = []
    for rows in torch.arange(x.size(0), device=x.device).split(max(_BLOCK // x.size(0), 1)):
        apart = torch.cdist(x[rows], x)
        found.append(apart.scatter(1, rows[:, None], torch.inf).argmin(dim=1))
    return torch.cat(found)


def is_discrete(x: Tensor) -> Tensor:
    """Which columns hold two values at most, flags and words: (N, d) -> (d,)."""
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
    """One copy of rows that are mixed with their nearest: (N, d) -> (N, d). MUNGE of Bucila et al., KDD 2006.

    For each row e in turn and e' nearest to it, each attribute a with probability ``chance``: discrete ones swap; of
    the others e_a and e'_a are drawn anew, from N(e'_a, v) and N(e_a, v), v the standard deviation
    |e_a - e'_a| / ``spread``. Rows change in place, so that a row drawn near by several is mixed several times; who is
    nearest is that of the rows as they came. discrete: mask (d,), by default ``is_discrete``; nearest: (N,), by default
    ``nearest_rows``, O(N^2 d). Both are the paper's knobs p and s, whose values it searches. N steps of O(d).
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


def munged(data: Batch, copies: int = 3, *, seed: int = 0, **knobs: Any) -> list[Any]:
    """``data``, and ``copies`` of it with ``x`` mixed anew in each; where rows have edges, they keep them.

    knobs: of ``munge``, from the real rows each time. What a row's label is is for a teacher to say.
    """
    x: Tensor = data["x"]
    nearest = knobs.pop("nearest", None)
    nearest = nearest_rows(x) if nearest is None and copies else nearest
    made = []
    for number in range(copies):
        generator = torch.Generator(x.device).manual_seed(seed + number)
        made.append(changed(data, x=munge(x, nearest=nearest, generator=generator, **knobs)))
    return [data, *made]


def compressed_student(
    student: nn.Module,
    teachers: Sequence[nn.Module | Frozen],
    data: Batch,
    *,
    copies: int = 3,
    loss: Loss | None = None,
    knobs: dict[str, Any] | None = None,
    **options: Any,
) -> nn.Module:
    """Label real and made-up rows by an ensemble, and learn them all. Bucila et al., KDD 2006 (model compression).

    Choose it for tables of features: nodes, users or items with few rows beyond the labelled ones, where a single
    network is to do as well as an ensemble. loss: by default ``SoftCE()`` with the mean probabilities; no labels. An
    epoch goes through ``copies`` + 1 batches of the size of ``data``, each labelled once. knobs: of ``munged``. options
    go to ``fit``.
    """
    options.setdefault("seed", 0)
    ensemble = Ensemble(teachers, partial(soft_target, temperature=1.0))
    batches = munged(data, copies, seed=options["seed"], **(knobs or {}))
    labelled = [changed(batch, taught=ensemble(batch)["logits"]) for batch in batches]
    return fit(Distiller(student, told("taught"), SoftCE() if loss is None else loss), labelled, **options)
