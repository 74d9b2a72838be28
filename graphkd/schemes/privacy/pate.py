"""PATE: labels by a noisy vote of teachers on private parts, and the privacy that they cost.

Papernot, Abadi, Erlingsson, Goodfellow and Talwar, "Semi-supervised Knowledge Transfer for Deep Learning from Private
Training Data", ICLR 2017, arXiv:1610.05755. On graphs, teachers on disjoint nodes still see each other's rows over
edges: split by components, or drop the edges that cross, as PyG's ``data.subgraph(part)`` does; else no epsilon holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch
from graphkd.losses._checks import check_positive, choose
from graphkd.losses.response.ce import CE
from graphkd.schemes.augment import changed
from graphkd.schemes.weights import check_stack

Limit = Literal["theorem", "code"]


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


def log_moments(counts: Tensor, gamma: float = 0.1, moments: int = 8, *, limit: Limit = "theorem") -> Tensor:
    """Bounds of the log moments of every query's privacy loss, orders l = 1 to ``moments``: (N, C) -> (N, moments).

    With a = exp(2 gamma) and f(z) = (1 - z) r^l + z a^l, r = (1 - z) / (1 - a z), the least of 2 gamma^2 l (l + 1),
    2 gamma l and, by theorem 3 where q < 1 / (1 + a), log f(q). f bounds the moment at the true probability of another
    winner, of which q is a bound, so f must not fall up to q: f' = a^l - r^l + l (1 - z) r^(l - 1) r' with r' >= 0 is
    positive while r <= a, which is z <= 1 / (1 + a). There f is a^l, and from there to 1 / a above it, so that
    log f > 2 gamma l changes no minimum. Beyond 1 / a, where r is negative, f is nothing at all.

    ``limit="code"``: the authors' program asks q < 1/2 in place of the theorem's condition, and takes 2 gamma l where f
    is not positive. Up to gamma = log(2) / 2 = 0.347, 1/2 is below 1 / a and both say the same; above, its values are
    no bounds: with gamma 0.7 and two classes one vote apart that of l = 1 is -2.0, and a log moment is never below 0.
    """
    choose("limit", limit, get_args(Limit))
    e, q = 2 * gamma, wrong_vote_bound(counts, gamma).double()[:, None]
    a = q.new_tensor(e).exp()  # infinite for a gamma that hides nothing, where no q is small enough
    order = torch.arange(1, moments + 1, dtype=torch.float64, device=counts.device)
    general = torch.minimum(e * e * order * (order + 1) / 2, e * order).expand(q.size(0), -1)
    holds = q < 1 / (1 + a)
    inside = torch.where(holds, q, 0)
    stay = torch.log1p(-inside) + order * (torch.log1p(-inside) - torch.log1p(-a * inside))
    third = torch.where(holds, torch.logaddexp(stay, inside.log() + e * order), torch.inf)
    if limit == "code":
        value = (1 - q) * ((1 - q) / (1 - a * q)) ** order + q * (e * order).exp()
        third = torch.where((a * q > 1) & (q < 0.5) & (value > 0), value.log(), third)
    return torch.minimum(general, third)


class Privacy(NamedTuple):
    """epsilon at a delta, the order that gave it, and the epsilon of every order, (moments,)."""

    epsilon: float
    order: int
    each: Tensor


def privacy_spent(
    counts: Tensor, gamma: float = 0.1, *, delta: float = 1e-5, moments: int = 8, limit: Limit = "theorem"
) -> Privacy:
    """The (epsilon, delta) of all queries answered: (N, C) votes -> min_l (sum alpha_l - log delta) / l.

    The moments accountant of Abadi et al., CCS 2016, over ``log_moments``. This epsilon depends on the votes and is
    itself private: publish it only with the noise of a smooth sensitivity, which is not here, or publish that of
    ``torch.zeros_like(counts)``, which holds whatever the votes are. An ``order`` equal to ``moments`` says that more
    moments may give less.
    """
    if not 0 < delta < 1:
        raise ValueError(f"'delta' must be in (0, 1), got {delta}")
    total = log_moments(counts, gamma, moments, limit=limit).sum(dim=0)
    each = (total - math.log(delta)) / torch.arange(1, moments + 1, dtype=total.dtype, device=total.device)
    best = int(each.argmin())
    return Privacy(float(each[best]), best + 1, each)


def private_teachers(models: Sequence[nn.Module], parts: Sequence[Batch], **options: Any) -> list[nn.Module]:
    """Each model trained on the labels (``train_mask``) of its own part of the private data; options go to ``fit``.

    No row may be in two parts, and no edge between them: then one person's rows change one vote.
    """
    if len(models) != len(parts):
        raise ValueError(f"'parts' must hold one for each of the {len(models)} models, got {len(parts)}")
    return [
        fit(Distiller(model, losses=CE(where="train_mask")), part, **options)
        for model, part in zip(models, parts, strict=True)
    ]


class Published(NamedTuple):
    """A student of noisy votes, the votes it learned from, and what they cost."""

    student: nn.Module
    votes: Votes
    privacy: Privacy


def pate(
    student: nn.Module,
    teachers: Sequence[nn.Module],
    public: Batch,
    *,
    gamma: float = 0.1,
    delta: float = 1e-5,
    generator: torch.Generator,
    queries: str = "query_mask",
    **options: Any,
) -> Published:
    """A student of the noisy votes of ``private_teachers`` on the rows ``queries`` of public data.

    Choose it where labels, or the rows themselves, are private, a model of them is to be published, and public rows
    without labels are at hand. Every queried row costs privacy: ask about few. The student sees nothing private but the
    votes; its ``y`` is those, on the queried rows alone. The noise comes from ``generator``, whose seed must be as
    secret as the data. What ``metric`` among ``options``, which go to ``fit``, reads must be public too. The paper's
    student learns from unlabelled public rows besides, by a GAN; ours by labels.
    """
    rows = public[queries]
    answers = torch.stack([Frozen(teacher)(public)["logits"][rows] for teacher in teachers])
    votes = noisy_votes(answers, gamma, generator=generator)
    y = torch.zeros(rows.size(0), dtype=torch.long, device=answers.device)
    y[rows] = votes.labels
    student = fit(Distiller(student, losses=CE(where=queries)), changed(public, y=y), **options)
    return Published(student, votes, privacy_spent(votes.counts, gamma, delta=delta))
