"""DLLM2Rec: a teacher's items for every row as further, weighted positives."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_positive
from recsys.data.lists import among
from recsys.losses._scores import wide

_TINY = 1e-8  # added to confidence and agreement in the authors' code


class DLLM2RecTerms(NamedTuple):
    """Results of ``dllm2rec``: the loss, its two parts, the second including DROS's term, and weights (B, K)."""

    loss: Tensor
    supervised: Tensor
    distillation: Tensor
    weights: Tensor


def importance(
    student: Tensor, candidates: Tensor, distances: Tensor, shares: tuple[float, float, float], decay: float = 1.0
) -> Tensor:
    """Weigh a teacher's K items of every row; weights sum to 1: (B, I), (B, K), (B, K) -> (B, K), constants.

    shares: (g_p, g_c, g_o), factors of the place e^(-decay k), of the teacher's confidence e^(-distance), both
    normalised, and of whether an item is among the K that the student ranks first.
    """
    k = candidates.size(1)
    distances = distances.to(student.dtype)
    place = torch.exp(-decay * torch.arange(1, k + 1, dtype=student.dtype, device=student.device))
    sure = (-distances).exp() + _TINY
    agreed = among(candidates, student.detach().topk(k, dim=1).indices)[0].to(student.dtype) + _TINY
    parts = place / place.sum(), sure / sure.sum(dim=1, keepdim=True), agreed
    weights = shares[0] * parts[0] + shares[1] * parts[1] + shares[2] * parts[2]
    return weights / weights.sum(dim=1, keepdim=True)


def robust(x: Tensor, items: Tensor, weights: Tensor, temperature: float = 1.0) -> Tensor:
    """DROS's term of some items of every row: x (B, I), items (B, K), weights m (I,) -> (B, K). O(B (I + K)).

    log(sum_i exp(x_i^2 m_i / beta) - exp(x_j^2 m_j / beta) + exp((x_j - 1)^2 m_j / beta)), in log space.
    """
    heights = x.square() * weights / temperature
    top = heights.detach().amax(dim=1, keepdim=True).clamp_min(0)
    near = (x.gather(1, items) - 1).square() * weights[items] / temperature
    top = torch.maximum(top, near.detach().amax(dim=1, keepdim=True))
    powers = (heights - top).exp()
    rest = powers.sum(dim=1, keepdim=True) - powers.gather(1, items)
    return top + torch.log(rest.clamp_min(0) + (near - top).exp() + torch.exp(-top) * 1e-24)


def dllm2rec(
    x: Tensor,
    targets: Tensor,
    negatives: Tensor,
    candidates: Tensor,
    distances: Tensor,
    *,
    lam: float = 0.8,
    dros: float = 0.0,
    item_weights: Tensor | None = None,
    temperature: float = 1.0,
    shares: tuple[float, float, float] = (0.3, 0.5, 0.1),
    decay: float = 1.0,
    negative_shift: float = 1.0,
    row_wise: bool = False,
) -> DLLM2RecTerms:
    """Further positives of every row, from a list that was made once and offline. Cui et al., RecSys 2024,
    arXiv:2405.00338.

    supervised = -1/(2B) sum_b [log sigma(x_y) + log sigma(-x_j)] of scores x (B, I), targets y (B,), negatives j (B,);
    distillation = sum_k mean_b w_bk [- log sigma(x_ck) - log sigma(shift - x_j)] of the teacher's candidates c (B, K),
    best first, with distances (B, K), 0 or more, and the weights of ``importance``. loss = supervised + a robust + lam
    (distillation + a robust_distillation), a = ``dros``. robust is DROS's term of the targets, see ``robust``; it needs
    item_weights (I,), ((count + 1) / sum)^0.05 of training targets. robust_distillation, that of the candidates, is
    sum_k (mean_b w_bk) (mean_b D(c_k)), as the authors' code broadcasts, or with ``row_wise`` sum_k mean_b w_bk D(c_k).
    The authors' shift is 1 where log(1 - sigma(x_j)) is meant, which is ``negative_shift=0``. O(B (I + K)): the sum
    over all items is computed once, not once a candidate.
    """
    check_positive("temperature", temperature)
    _check(x, targets, negatives, candidates, distances)
    (x,) = wide(x)
    own, other = x.gather(1, targets[:, None]), x.gather(1, negatives[:, None])
    weights = importance(x.detach(), candidates, distances, shares, decay)
    supervised = -(F.logsigmoid(own) + F.logsigmoid(-other)).mean() / 2
    pull = -F.logsigmoid(x.gather(1, candidates)) - F.logsigmoid(negative_shift - other)
    distillation = (weights * pull).mean(dim=0).sum()
    base, listed = x.new_zeros(()), x.new_zeros(())
    if dros:
        if item_weights is None or item_weights.shape != x.shape[1:]:
            got = "none" if item_weights is None else str(tuple(item_weights.shape))
            raise ValueError(
                f"'item_weights' must hold a weight for each of {x.size(1)} items beside 'dros', got {got}"
            )
        terms = robust(x, torch.cat([targets[:, None], candidates], dim=1), item_weights.to(x.dtype), temperature)
        base, rest = terms[:, 0].mean(), terms[:, 1:]
        listed = (weights * rest).mean(dim=0).sum() if row_wise else (weights.mean(dim=0) * rest.mean(dim=0)).sum()
    distillation = distillation + dros * listed
    loss = supervised + dros * base + lam * distillation
    return DLLM2RecTerms(loss, supervised, distillation, weights)


def _check(x: Tensor, targets: Tensor, negatives: Tensor, candidates: Tensor, distances: Tensor) -> None:
    """Check scores (B, I), two vectors of ids (B,), and lists of items and distances (B, K)."""
    if x.dim() != 2 or targets.shape != x.shape[:1] or negatives.shape != x.shape[:1]:
        got = [tuple(each.shape) for each in (x, targets, negatives)]
        raise ValueError(f"'x' must be (B, I), 'targets' and 'negatives' (B,), got {got}")
    if candidates.dim() != 2 or candidates.size(0) != x.size(0) or distances.shape != candidates.shape:
        got = [tuple(each.shape) for each in (candidates, distances)]
        raise ValueError(f"'candidates' and 'distances' must be ({x.size(0)}, K), got {got}")
    if candidates.size(1) > x.size(1):
        raise ValueError(f"'candidates' must list at most the {x.size(1)} items, got {candidates.size(1)}")


class DLLM2Rec(Loss):
    """Take a teacher's items of every row as further positives: the ranking part of DLLM2Rec, or all of it.

    Cui et al., RecSys 2024, arXiv:2405.00338.

    The parts of ``dllm2rec``, as means over rows, on the scores of all items. student: ``logits`` (N, I), ``user`` (N,
    d) and ``item`` (I, d). Where the batch has ``candidates``, logits only cover these, and the scores are the products
    of ``user`` and ``item``. targets, unseen: (N,) ids. taught: (N, K) ids and distances: (N, K), as ``DLLM2RecLists``
    gives them. Item 0 is padding and has no score. whole: the paper's sum with its base loss, ``lam`` times the ranking
    part and ``dros`` times DROS's terms; otherwise only the ranking part, whose weight is the caller's. item_weights:
    (I,), for DROS. O(N (I + K)), and N I d more where logits only cover candidates.

    Example::

        >>> student = torch.zeros(1, 5), torch.zeros(1, 2), torch.zeros(5, 2)
        >>> batch = {"targets": torch.tensor([1]), "taught": torch.tensor([[2, 3]]), "unseen": torch.tensor([4])}
        >>> loss = DLLM2Rec(negative_shift=0.0)(student, **batch, distances=torch.zeros(1, 2))
        >>> round(float(loss.exp()), 3)  # the weights of items sum to 1
        4.0
    """

    on = ("logits", "user", "item")

    def __init__(
        self,
        *,
        shares: tuple[float, float, float] = (0.3, 0.5, 0.1),
        decay: float = 1.0,
        whole: bool = False,
        lam: float = 0.8,
        dros: float = 0.0,
        item_weights: Tensor | None = None,
        negative_shift: float = 1.0,
        row_wise: bool = False,
        on: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(on=on)
        if min(shares) < 0 or sum(shares) <= 0:
            raise ValueError(f"'shares' must be three weights of 0 or more, one above 0, got {shares}")
        self.whole, self.shares, self.decay = whole, shares, check_positive("decay", decay)
        self.lam, self.dros, self.negative_shift, self.row_wise = lam, dros, negative_shift, row_wise
        self.register_buffer("item_weights", item_weights, persistent=False)

    def forward(
        self,
        student: tuple[Tensor, Tensor, Tensor],
        *,
        targets: Tensor,
        taught: Tensor,
        distances: Tensor,
        unseen: Tensor,
        candidates: Tensor | None = None,
    ) -> Tensor:
        """See the class."""
        logits, user, item = student
        if not len(targets):
            return logits.sum() * 0
        x = logits[:, 1:] if candidates is None else user @ item[1:].t()
        weights: Tensor | None = self.item_weights  # type: ignore[assignment] # a buffer
        target_places, unseen_places, taught_places = (ids - 1 for ids in (targets, unseen, taught))
        found = dllm2rec(
            x,
            target_places,
            unseen_places,
            taught_places,
            distances,
            lam=self.lam,
            dros=self.dros,
            item_weights=None if weights is None else weights[1:],
            shares=self.shares,
            decay=self.decay,
            negative_shift=self.negative_shift,
            row_wise=self.row_wise,
        )
        return found.loss if self.whole else found.distillation
