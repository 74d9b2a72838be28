"""KDCL: four ways to make one good soft target from several peers and the labels.

Guo, Wang, Wu, Yu, Liang, Hu and Luo, "Online Knowledge Distillation via Collaborative Learning", CVPR 2020.
Rules for ``Peers``; targets are constant. (M, N, C) logits of the peers, (N,) labels -> (N, C) logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_labels, choose
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL
from graphkd.schemes.peers import Peers, Taught
from graphkd.schemes.weights import check_stack

Target = Literal["naive", "linear", "min_logit", "general"]


@torch.no_grad()
def naive_target(logits: Tensor, y: Tensor) -> Tensor:
    """The logits of the peer with the least cross-entropy on each row."""
    _check(logits, y)
    best = torch.stack([F.cross_entropy(peer, y, reduction="none") for peer in logits]).argmin(dim=0)
    return logits[best, torch.arange(y.size(0), device=y.device)]


@torch.no_grad()
def min_logit_target(logits: Tensor, y: Tensor) -> Tensor:
    """min_k (z_kc - z_ky), class by class: no peer finds a wrong class less likely beside the label."""
    _check(logits, y)
    return (logits - logits.gather(2, y.expand(logits.size(0), -1)[..., None])).amin(dim=0)


@torch.no_grad()
def linear_weights(logits: Tensor, y: Tensor, steps: int = 60) -> Tensor:
    """Convex weights of the peers with the least cross-entropy of sum_k w_k z_k, row by row: -> (N, M).

    That is convex; at most ``steps`` of a primal-dual interior point method with line search in float64, all rows at
    once: O(steps N M^2 C). Exact to 1e-9 for logits that differ by tens; by hundreds it may stop early, at weights that
    are no worse than the best peer alone.
    """
    _check(logits, y)
    peers = logits.double().transpose(0, 1)  # (N, M, C)
    peers = peers - peers.gather(2, y[:, None, None].expand(-1, peers.size(1), 1))  # CE = logsumexp of the mixture
    size = peers.abs().amax(dim=(1, 2), keepdim=True)[..., 0].clamp(min=torch.finfo(torch.float64).tiny)
    weights, slack = torch.full_like(peers[..., 0], 1 / peers.size(1)), size.expand(peers.shape[:2])
    for _ in range(steps):
        p = _mixture(weights, peers).softmax(dim=1)
        slopes = torch.einsum("nmc,nc->nm", peers, p)
        gap = (weights * slopes).sum(dim=1) - slopes.amin(dim=1)
        if bool((gap <= 1e-12 * size[:, 0]).all()):
            break
        barrier = 0.1 * (weights * slack).mean(dim=1, keepdim=True)
        change = _newton(peers, p, slopes, slack / weights, barrier / weights)
        rise = barrier / weights - slack - slack / weights * change
        step = torch.minimum(_reach(weights, change), _reach(slack, rise))
        step = _backtrack(weights, change, step, slopes, barrier, peers, size)
        weights = weights + step * change
        slack = torch.maximum(slack + step * rise, 1e-14 * size)
    weights = weights / weights.sum(dim=1, keepdim=True)
    alone = peers.logsumexp(dim=2)
    best = F.one_hot(alone.argmin(dim=1), peers.size(1)).to(weights.dtype)
    worse = _mixture(weights, peers).logsumexp(dim=1) > alone.amin(dim=1)
    return torch.where(worse[:, None], best, weights)


def _mixture(weights: Tensor, peers: Tensor) -> Tensor:
    return torch.einsum("nm,nmc->nc", weights, peers)


def _newton(peers: Tensor, p: Tensor, slopes: Tensor, stiffness: Tensor, push: Tensor) -> Tensor:
    """The step of the weights, whose sum stays 1."""
    hessian = torch.einsum("nmc,nkc,nc->nmk", peers, peers, p) - slopes[:, :, None] * slopes[:, None]
    right = torch.stack([push - slopes, torch.ones_like(slopes)], dim=2)
    toward, ones = torch.linalg.solve(hessian + torch.diag_embed(stiffness), right).unbind(dim=2)
    return toward - ones * (toward.sum(dim=1, keepdim=True) / ones.sum(dim=1, keepdim=True))


def _reach(values: Tensor, change: Tensor) -> Tensor:
    """How much of a step, of the whole at most, keeps every value of a row positive."""
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
    """The convex combination of the peers' logits with the least cross-entropy, row by row; see ``linear_weights``."""
    weights = linear_weights(logits, y).to(accumulation_dtype(logits))
    return torch.einsum("nm,mnc->nc", weights, logits.to(weights.dtype))


@torch.no_grad()
def general_weights(logits: Tensor, y: Tensor) -> Tensor:
    """Weights of the peers for all rows, by how their errors on validation rows go together: -> (M,), sum 1.

    w = C^-1 1 / (1' C^-1 1), C_kl = mean_i <p_ki - onehot(y_i), p_li - onehot(y_i)>, p the probabilities (assumed: the
    paper has a general output). Weights may be negative. 1e-12 of C's mean diagonal is added to it, so that equal
    peers get equal weights; a step of refinement takes back what that changes where C can be inverted.
    """
    _check(logits, y)
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
    """sum_k w_k z_k with ``general_weights`` of validation rows: (M, N, C), (M, V, C), (V,) -> (N, C)."""
    weights = general_weights(validation_logits, validation_y).to(accumulation_dtype(logits))
    return torch.einsum("m,mnc->nc", weights, logits.to(weights.dtype))


def _check(logits: Tensor, y: Tensor) -> None:
    check_stack(logits)
    check_labels(y, logits.size(1), logits.size(2))


_TARGETS: dict[str, Callable[..., Tensor]] = {
    "naive": naive_target,
    "linear": linear_target,
    "min_logit": min_logit_target,
    "general": general_target,
}


def _rule(target: Target) -> Callable[..., Taught]:
    """The target as a rule; it asks for what the target does."""
    if target == "general":
        return lambda logits, validation_logits, validation_y: Taught(
            [(1.0, general_target(logits, validation_logits, validation_y))]
        )
    return lambda logits, y: Taught([(1.0, _TARGETS[target](logits, y))])


def kdcl(
    models: Sequence[nn.Module],
    target: Target = "min_logit",
    *,
    temperature: float = 2.0,
    where: str = "train_mask",
    **options: Any,
) -> Peers:
    """KDCL: peers on differently distorted inputs learn one target, made with the labels' help.

    L = sum_k CE_k + T^2 KL(p(z_t) || p(z_k)), T = 2, weight 1. target: "naive", the best peer on each row; "linear",
    the best convex combination; "min_logit"; "general", weights by validation errors. Choose it for peers of unequal
    strength, of which ``dml`` lets the weak spoil the strong; give ``views`` (an augmentation), as in the paper each
    peer sees its own distortion. The first three read labels and so teach the rows of ``where`` only; "general" teaches
    all, but reads the validation labels (``val_mask``): they are then no fair measure. Its weights follow every batch's
    validation rows, in training mode; the paper's every epoch. options go to ``Peers``.
    """
    choose("target", target, get_args(Target))
    soft = KL(temperature, where=None if target == "general" else where)
    return Peers(models, _rule(target), labels=CE(where=where), soft=soft, **options)
