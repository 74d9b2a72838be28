"""KDCL: four ways to make one good soft target from several peers and the labels.

Guo, Wang, Wu, Yu, Liang, Hu and Luo, "Online Knowledge Distillation via Collaborative Learning", CVPR 2020.
Targets are constant. (M, N, C) logits of the peers, (N,) labels -> (N, C) logits.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import choose, class_ids
from graphkd.schemes.augment import noise_of
from graphkd.schemes.online.peers import Others, PeerTargets, Where, peers_of, soft_of, train_peers, with_known
from graphkd.schemes.teachers._combine import check_stack

Target = Literal["naive", "linear", "min_logit"]


@torch.no_grad()
def naive_target(logits: Tensor, y: Tensor) -> Tensor:
    """Take the logits of the peer with the least cross-entropy on each row."""
    y = _labels(logits, y)
    best = torch.stack([F.cross_entropy(peer, y, reduction="none") for peer in logits]).argmin(dim=0)
    return logits[best, torch.arange(y.size(0), device=y.device)]


@torch.no_grad()
def min_logit_target(logits: Tensor, y: Tensor) -> Tensor:
    """Take min_k (z_kc - z_ky), class by class: every class at its smallest difference from the label's logit."""
    y = _labels(logits, y)
    return (logits - logits.gather(2, y.expand(logits.size(0), -1)[..., None])).amin(dim=0)


@torch.no_grad()
def linear_weights(logits: Tensor, y: Tensor, steps: int = 60) -> Tensor:
    """Find the convex weights of the peers with the least cross-entropy of sum_k w_k z_k, row by row: -> (N, M).

    The problem is convex. It takes at most ``steps`` steps of a primal-dual interior point method with line search in
    float64, for all rows at once: O(steps N M^2 C). Exact to 1e-9 where logits differ by tens; where they differ by
    hundreds it may stop early, at weights no worse than the best peer alone.
    """
    y = _labels(logits, y)
    peers = logits.double().transpose(0, 1)  # (N, M, C)
    peers = peers - peers.gather(2, y[:, None, None].expand(-1, peers.size(1), 1))  # CE = logsumexp of the mixture
    size = peers.abs().amax(dim=(1, 2), keepdim=True)[..., 0].clamp(min=torch.finfo(torch.float64).tiny)
    weights, slack = torch.full_like(peers[..., 0], 1 / peers.size(1)), size.expand(peers.shape[:2])
    for _ in range(steps):
        p, slopes, gap = _slopes(weights, peers)
        if bool((gap <= 1e-12 * size).all()):
            break
        barrier = 0.1 * (weights * slack).mean(dim=1, keepdim=True)
        change = _newton(peers, p, slopes, slack / weights, barrier / weights)
        rise = barrier / weights - slack - slack / weights * change
        step = torch.minimum(_reach(weights, change), _reach(slack, rise))
        step = _backtrack(weights, change, step, slopes, barrier, peers, size)
        weights = weights + step * change
        slack = torch.maximum(slack + step * rise, 1e-14 * size)
    weights = _polished(weights / weights.sum(dim=1, keepdim=True), slack, peers, size)
    alone = peers.logsumexp(dim=2)
    best = F.one_hot(alone.argmin(dim=1), peers.size(1)).to(weights.dtype)
    worse = _mixture(weights, peers).logsumexp(dim=1) > alone.amin(dim=1)
    return torch.where(worse[:, None], best, weights)


def _mixture(weights: Tensor, peers: Tensor) -> Tensor:
    return torch.einsum("nm,nmc->nc", weights, peers)


def _slopes(weights: Tensor, peers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the mixture's probabilities, slopes of its cross-entropy, and the gap to the best weights, (N, 1)."""
    p = _mixture(weights, peers).softmax(dim=1)
    slopes = torch.einsum("nmc,nc->nm", peers, p)
    return p, slopes, (weights * slopes).sum(dim=1, keepdim=True) - slopes.amin(dim=1, keepdim=True)


def _polished(weights: Tensor, slack: Tensor, peers: Tensor, size: Tensor) -> Tensor:
    """Refine the weights by Newton steps where these shrink the gap, below what the cross-entropy can resolve.

    A step changes the other peers' weights, and the heaviest peer's by their negative sum, so that it sums to 0
    exactly.
    """
    for _ in range(4):
        p, slopes, gap = _slopes(weights, peers)
        heaviest = F.one_hot(weights.argmax(dim=1), weights.size(1)).to(weights.dtype)
        others = peers - torch.einsum("nm,nmc->nc", heaviest, peers)[:, None]
        rise = slopes - (heaviest * slopes).sum(dim=1, keepdim=True)
        hessian = torch.einsum("nmc,nkc,nc->nmk", others, others, p) - rise[:, :, None] * rise[:, None]
        change = torch.linalg.solve(hessian + torch.diag_embed(slack / weights + heaviest * size), -rise)
        change = change - heaviest * change.sum(dim=1, keepdim=True)
        moved = weights + _reach(weights, change) * change
        better = (gap > 1e-10 * size) & (_slopes(moved, peers)[2] < gap)
        weights = torch.where(better, moved, weights)
    return weights


def _newton(peers: Tensor, p: Tensor, slopes: Tensor, stiffness: Tensor, push: Tensor) -> Tensor:
    """Compute the Newton step of the weights, whose sum stays 1."""
    hessian = torch.einsum("nmc,nkc,nc->nmk", peers, peers, p) - slopes[:, :, None] * slopes[:, None]
    right = torch.stack([push - slopes, torch.ones_like(slopes)], dim=2)
    toward, ones = torch.linalg.solve(hessian + torch.diag_embed(stiffness), right).unbind(dim=2)
    return toward - ones * (toward.sum(dim=1, keepdim=True) / ones.sum(dim=1, keepdim=True))


def _reach(values: Tensor, change: Tensor) -> Tensor:
    """Compute the share of a step, at most 1, that keeps every value of a row positive."""
    limit = torch.where(change < 0, -values / change, torch.inf).amin(dim=1, keepdim=True)
    return (0.99 * limit).clamp(max=1.0)


def _backtrack(
    weights: Tensor, change: Tensor, step: Tensor, slopes: Tensor, barrier: Tensor, peers: Tensor, size: Tensor
) -> Tensor:
    """Halve the step of each row until the cross-entropy with its barrier falls (Armijo), twelve times at most."""

    def cost(at: Tensor) -> Tensor:
        return _mixture(at, peers).logsumexp(dim=1, keepdim=True) - barrier * at.log().sum(dim=1, keepdim=True)

    start, slope = cost(weights), ((slopes - barrier / weights) * change).sum(dim=1, keepdim=True)
    for _ in range(12):
        worse = cost(weights + step * change) > start + 1e-4 * step * slope + 1e-14 * size
        if not bool(worse.any()):
            break
        step = torch.where(worse, step / 2, step)
    return step


@torch.no_grad()
def linear_target(logits: Tensor, y: Tensor) -> Tensor:
    """Combine the peers' logits convexly, with the least cross-entropy row by row; see ``linear_weights``."""
    weights = linear_weights(logits, y).to(accumulation_dtype(logits))
    return torch.einsum("nm,mnc->nc", weights, logits.to(weights.dtype))


@torch.no_grad()
def general_weights(logits: Tensor, y: Tensor) -> Tensor:
    """Weight the peers by the covariance of their errors on validation rows: (M, V, C), (V,) -> (M,), sum 1.

    w = C^-1 1 / (1' C^-1 1), C_kl = mean_i <p_ki - onehot(y_i), p_li - onehot(y_i)>, with p the probabilities (our
    assumption: the paper has a general output). Weights may be negative. C gets a ridge of 1e-12 of its mean diagonal,
    so that equal peers get equal weights; one refinement step removes the ridge's effect where C is invertible. Without
    rows weights are equal.
    """
    y = _labels(logits, y)
    if not y.numel():  # a batch without such rows
        return torch.full((logits.size(0),), 1 / logits.size(0), dtype=torch.float64, device=logits.device)
    errors = (logits.double().softmax(dim=-1) - F.one_hot(y, logits.size(-1))).flatten(1)
    covariance = errors @ errors.t() / max(y.size(0), 1)
    ridge = 1e-12 * covariance.diagonal().mean() + torch.finfo(torch.float64).tiny
    one = torch.ones(logits.size(0), 1, dtype=torch.float64, device=logits.device)
    ridged = covariance + ridge * torch.eye(len(one), dtype=torch.float64, device=one.device)
    solved = torch.linalg.solve(ridged, one)
    solved = solved + torch.linalg.solve(ridged, one - covariance @ solved)
    return solved[:, 0] / solved.sum()


@torch.no_grad()
def general_target(logits: Tensor, validation_logits: Tensor, validation_y: Tensor) -> Tensor:
    """Compute sum w_k z_k with ``general_weights`` of validation rows: (M, N, C), (M, V, C), (V,) -> (N, C)."""
    weights = general_weights(validation_logits, validation_y).to(accumulation_dtype(logits))
    return torch.einsum("m,mnc->nc", weights, logits.to(weights.dtype))


def _labels(logits: Tensor, y: Tensor) -> Tensor:
    check_stack(logits)
    return class_ids(y, logits.size(1), logits.size(2))


_TARGETS = {"naive": naive_target, "linear": linear_target, "min_logit": min_logit_target}


@method("kdcl_linear", preset={"target": "linear"})
@method("kdcl_naive", preset={"target": "naive"})
@method(
    "kdcl_min_logit",
    family="online",
    paper="Guo et al., CVPR 2020",
    survey=(77,),
    tasks=("classes",),
    teacher=False,
    space={"distortion": (0.01, 0.8)},
)
def kdcl(
    problem: Problem,
    *,
    target: Target = "min_logit",
    count: int = 3,
    temperature: float = 2.0,
    weight: float = 1.0,
    distortion: float = 0.2,
    peers: Others = None,
) -> nn.Module:
    """Train peers on differently distorted inputs towards one common target, made from their answers and the labels.

    L = sum_k CE_k + ``weight`` T^2 KL(p(z_t) || p(z_k)) on labelled rows. target: "naive", the best peer on each row;
    "linear", the best convex combination; "min_logit", class by class the smallest difference from the label's logit.
    Choose it for peers of unequal strength, where ``dml`` lets weak peers spoil strong ones. distortion: share of edges
    and of columns of features hidden from each peer, drawn anew at every step. count, peers: as in ``dml``. "linear"
    runs an interior point method on all rows at every step, see ``linear_weights``.
    """
    choose("target", target, get_args(Target))

    def rule(logits: Tensor, known: Tensor) -> PeerTargets:
        return PeerTargets([(1.0, _TARGETS[target](logits, known))])

    models, soft = peers_of(problem, peers, count), problem.soft(temperature, where=problem.labelled)
    data, views = with_known(problem, problem.labelled), noise_of(None, distortion)
    return train_peers(problem, models, rule, data=data, soft=soft, weight=weight, views=views)


@method(
    "kdcl_general",
    family="online",
    paper="Guo et al., CVPR 2020",
    teacher=False,
    space={"distortion": (0.01, 0.8), "share": (0.05, 0.5)},
)
def kdcl_general(
    problem: Problem,
    *,
    count: int = 3,
    temperature: float = 2.0,
    weight: float = 1.0,
    distortion: float = 0.2,
    share: float = 0.2,
    validation: Tensor | None = None,
    where: Where = "labelled",
    peers: Others = None,
) -> nn.Module:
    """Train peers on differently distorted inputs towards one common target, weighted by their held-out errors.

    As ``kdcl_min_logit``, with the target sum_k w_k z_k, see ``general_weights``. Choose it where labels can be spared:
    ``share`` of the labelled nodes is held out, and the peers' weights are computed from them in every batch, in
    training mode (in the paper once per epoch). count, where, peers: as in ``dml``. validation: mask (N,) of the nodes
    that determine the weights in place of that share; if they also choose the epoch, its validation score is biased.
    """
    if validation is None:
        learnt, held = problem.split(share)
        data, labels = problem.with_values(learnt=learnt, held=held), problem.supervised("learnt")
    else:
        _check_mask(validation, problem.nodes)
        data, labels = problem.with_values(held=validation), problem.supervised()

    def rule(logits: Tensor, known: Tensor, held: Tensor) -> PeerTargets:
        return PeerTargets([(1.0, general_target(logits, logits[:, held], known[held]))])

    data = with_known(problem, "held", data)
    models, views = peers_of(problem, peers, count), noise_of(None, distortion)
    soft = soft_of(problem, temperature, where)
    return train_peers(problem, models, rule, data=data, labels=labels, soft=soft, weight=weight, views=views)


def _check_mask(validation: Tensor, nodes: int) -> None:
    if validation.dtype != torch.bool or validation.dim() != 1 or validation.size(0) < nodes:
        raise ValueError(
            f"'validation' must be a boolean mask over the nodes, ({nodes},), got {validation.dtype} of shape "
            f"{tuple(validation.shape)}"
        )
