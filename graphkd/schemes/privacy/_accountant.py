"""Privacy cost of noisy votes: the moments accountant of PATE.

Papernot et al., "Semi-supervised Knowledge Transfer for Deep Learning from Private Training Data", ICLR 2017,
arXiv:1610.05755; the accountant is that of Abadi et al., CCS 2016.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from graphkd.losses._checks import choose

Limit = Literal["theorem", "code"]


def wrong_vote_bound(counts: Tensor, gamma: float = 0.1) -> Tensor:
    """Compute q, an upper bound of the probability that noise changes the winner w: (N, C) votes -> (N,).

    sum_{j != w} (2 + gamma (n_w - n_j)) / (4 exp(gamma (n_w - n_j))), at most 1 - 1 / C.
    """
    gaps = gamma * (counts.amax(dim=-1, keepdim=True) - counts)
    terms = (2 + gaps) / (4 * gaps.exp())
    return (terms.sum(dim=-1) - 0.5).clamp_max(1 - 1 / counts.size(-1))  # the winner's own term is 1/2


def log_moments(counts: Tensor, gamma: float = 0.1, moments: int = 8, *, limit: Limit = "theorem") -> Tensor:
    """Bound the log moments of every query's privacy loss, orders l = 1 to ``moments``: (N, C) -> (N, moments).

    With a = exp(2 gamma) and f(z) = (1 - z) r^l + z a^l, r = (1 - z) / (1 - a z), the bound is the least of 2 gamma^2 l
    (l + 1), 2 gamma l and, by theorem 3 where q < 1 / (1 + a), log f(q). f bounds the moment at the true probability of
    another winner, which is at most q, so f must not fall up to q: f' = a^l - r^l + l (1 - z) r^(l - 1) r' with r' >= 0
    is positive while r <= a, which is z <= 1 / (1 + a). At that point f is a^l, and from there to 1 / a it is larger,
    so that log f > 2 gamma l changes no minimum. Beyond 1 / a, where r is negative, f bounds nothing.

    ``limit="code"``: the authors' program requires q < 1/2 in place of the theorem's condition, and takes 2 gamma l
    where f is not positive. Up to gamma = log(2) / 2 = 0.347, 1/2 is below 1 / a and both agree; above, its values are
    no bounds: with gamma 0.7 and two classes one vote apart its value for l = 1 is -2.0, though a log moment is never
    below 0.
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
    """Privacy spent: epsilon at a delta, the order that gave it, and the epsilon of every order, (moments,)."""

    epsilon: float
    order: int
    each: Tensor


def privacy_spent(
    counts: Tensor, gamma: float = 0.1, *, delta: float = 1e-5, moments: int = 8, limit: Limit = "theorem"
) -> Privacy:
    """Compute the (epsilon, delta) of all queries answered: (N, C) votes -> min_l (sum alpha_l - log delta) / l.

    The moments accountant of Abadi et al., CCS 2016, over ``log_moments``. This epsilon depends on the votes and is
    itself private: publish it only with the noise of a smooth sensitivity, which is not implemented here, or publish
    the epsilon of ``torch.zeros_like(counts)``, which holds for any votes. If ``order`` equals ``moments``, more
    moments may give a smaller epsilon. Raises ValueError for a ``delta`` outside (0, 1).
    """
    if not 0 < delta < 1:
        raise ValueError(f"'delta' must be in (0, 1), got {delta}")
    total = log_moments(counts, gamma, moments, limit=limit).sum(dim=0)
    each = (total - math.log(delta)) / torch.arange(1, moments + 1, dtype=total.dtype, device=total.device)
    best = int(each.argmin())
    return Privacy(float(each[best]), best + 1, each)
