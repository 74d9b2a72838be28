"""PATE: labels by a noisy vote of teachers on private parts, and the privacy that they cost.

Papernot, Abadi, Erlingsson, Goodfellow and Talwar, "Semi-supervised Knowledge Transfer for Deep Learning from Private
Training Data", ICLR 2017, arXiv:1610.05755. On graphs, teachers on disjoint nodes still see each other's rows over
edges: split by components, or drop the edges that cross, as PyG's ``data.subgraph(part)`` does; else no epsilon holds.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.losses.checks import check_positive, choose
from graphkd.schemes.weights import check_stack

Account = Literal["theorem", "code"]


class Votes(NamedTuple):
    """A label of each row, and how many teachers voted for each class before the noise."""

    labels: Tensor
    counts: Tensor


def noisy_votes(
    teachers: Tensor, gamma: float = 0.1, *, generator: torch.Generator | None = None, noise: Tensor | None = None
) -> Votes:
    """argmax_c (n_c + Laplace(1 / gamma)) of the teachers' votes: (K, N, C) -> (N,), (N, C).

    Choose it to label public rows by models of private ones: a student trained on these labels alone
    (``CE`` on the returned ``labels``) may be published, at the ``epsilon`` of ``privacy_spent``. gamma: the inverse
    scale of the noise; more of it is more right and less private. The noise is drawn from ``generator``, which must be
    given unless ``noise`` (N, C) is.
    """
    check_stack(teachers)
    check_positive("gamma", gamma)
    classes = teachers.size(-1)
    counts = F.one_hot(teachers.argmax(dim=-1), classes).sum(dim=0).to(torch.float64)
    if noise is None:
        if generator is None:
            raise ValueError("'generator' must be a seeded torch.Generator where 'noise' is not given, got None")
        gaps = torch.rand(2, *counts.shape, generator=generator, dtype=torch.float64, device=generator.device)
        positive, negative = -torch.log1p(-gaps).to(counts.device)  # the difference of two exponentials is Laplace
        noise = (positive - negative) / gamma
    if noise.shape != counts.shape:
        raise ValueError(f"'noise' must have shape {tuple(counts.shape)}, got {tuple(noise.shape)}")
    return Votes((counts + noise).argmax(dim=-1), counts)


def wrong_vote_bound(counts: Tensor, gamma: float = 0.1) -> Tensor:
    """q, at least the probability that noise changes the winner w: (N, C) -> (N,).

    sum_{j != w} (2 + gamma (n_w - n_j)) / (4 exp(gamma (n_w - n_j))), at most 1 - 1 / C.
    """
    gaps = gamma * (counts.amax(dim=-1, keepdim=True) - counts)
    terms = (2 + gaps) / (4 * gaps.exp())
    return (terms.sum(dim=-1) - 0.5).clamp_max(1 - 1 / counts.size(-1))  # the winner's own term is 1/2


def log_moments(counts: Tensor, gamma: float = 0.1, moments: int = 8, *, form: Account = "theorem") -> Tensor:
    """Bounds of the log moments of every query's privacy loss, orders 1 to ``moments``: (N, C) -> (N, moments).

    With e = 2 gamma: min(e^2 l (l + 1) / 2, e l, log((1 - q) ((1 - q) / (1 - e^e q))^l + q e^(e l))), the last where
    q < 1 / (1 + e^e), where alone the theorem holds. ``form="code"`` takes it up to q < 1/2, to repeat the authors'
    numbers alone: that is above e l, so no change, but for gamma above 0.34 there are q where it is no bound.
    """
    choose("form", form, get_args(Account))
    e, q = 2 * gamma, wrong_vote_bound(counts, gamma).double()[:, None]
    order = torch.arange(1, moments + 1, dtype=torch.float64, device=counts.device)
    general = torch.minimum(e * e * order * (order + 1) / 2, e * order).expand(q.size(0), -1)
    holds = q < 1 / (1 + math.exp(e))
    inside = torch.where(holds, q, 0)
    stay = torch.log1p(-inside) + order * (torch.log1p(-inside) - torch.log1p(-math.exp(e) * inside))
    found = torch.where(holds, torch.minimum(general, torch.logaddexp(stay, inside.log() + e * order)), general)
    if form == "theorem":
        return found
    raised = ((1 - q) / (1 - math.exp(e) * q)) ** order  # of a base that may be negative
    value = (1 - q) * raised + q * (e * order).exp()
    wrong = ~holds & (q < 0.5) & (value > 0)
    return torch.where(wrong, torch.minimum(general, value.clamp_min(torch.finfo(value.dtype).tiny).log()), found)


class Privacy(NamedTuple):
    """epsilon at a delta, the order that gave it, and the epsilon of every order, (moments,)."""

    epsilon: float
    order: int
    each: Tensor


def privacy_spent(
    counts: Tensor, gamma: float = 0.1, *, delta: float = 1e-5, moments: int = 8, form: Account = "theorem"
) -> Privacy:
    """The (epsilon, delta) of all queries answered: (N, C) votes -> min_l (sum alpha_l - log delta) / l.

    The moments accountant of Abadi et al., CCS 2016, over ``log_moments``. This epsilon depends on the votes and is
    itself private: publish it only with the noise of a smooth sensitivity, which is not here. An ``order`` equal to
    ``moments`` says that more moments may give less.
    """
    if not 0 < delta < 1:
        raise ValueError(f"'delta' must be in (0, 1), got {delta}")
    total = log_moments(counts, gamma, moments, form=form).sum(dim=0)
    each = (total - math.log(delta)) / torch.arange(1, moments + 1, dtype=total.dtype, device=total.device)
    best = int(each.argmin())
    return Privacy(float(each[best]), best + 1, each)
