"""EMKD: an ensemble of masked sequential models that contrast and teach one another."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.kernels.norms import unit_vectors
from graphkd.losses._checks import check_positive
from recsys.losses._scores import wide


class EMKDTerms(NamedTuple):
    """Hold the results of ``emkd``: the loss and its five parts."""

    loss: Tensor
    icl: Tensor
    ccl: Tensor
    kl: Tensor
    masked_item: Tensor
    attribute: Tensor


def copy_contrast(anchors: Tensor, others: Tensor, positives: Tensor, tau: float = 0.3) -> Tensor:
    """Contrast each row with other rows and with its own masked copies: (B, D), (B, D), (M, B, D) -> scalar.

    mean_r [log(1 + sum_{s != r} exp c(a_r, b_s)) - log sum_m exp c(a_r, p_mr)], c = cosine / tau. The 1 is the row
    itself, which the authors multiply by 0 before the exponential. Positives are not in the first sum, so the value may
    be negative. O(B^2 D).
    """
    a, b, p = (unit_vectors(each) for each in (anchors, others, positives))
    own = torch.eye(a.size(0), dtype=torch.bool, device=a.device)
    apart = (a @ b.t() / tau).masked_fill(own, 0)
    near = (p * a).sum(dim=2) / tau
    return (apart.logsumexp(dim=1) - near.logsumexp(dim=0)).mean()


def mutual_kl(logits: Tensor, masked: Tensor, tau: float = 0.3) -> Tensor:
    """Match soft targets at masked positions for every pair of networks: (N, M, B, L, C), (M, B, L) bool -> scalar.

    sum_m sum_{a > b} 1/2 [KL(sg b || a) + KL(sg a || b)], both at tau, summed over classes; the mean over the masked
    positions of copy m, 0 where it has none; no factor tau^2. O(N^2 M n C) for n masked positions a copy.
    """
    total = logits.new_zeros(())
    for copy, chosen in enumerate(masked):
        total = total + mutual_rows(logits[:, copy, chosen], tau)
    return total


def mutual_rows(logits: Tensor, tau: float = 0.3) -> Tensor:
    """Compute ``mutual_kl`` for the rows of a single copy: (N, n, C) -> scalar, 0 without rows."""
    total, logs = logits.new_zeros(()), (logits / tau).log_softmax(dim=-1)
    for one, other in combinations(logs, 2):
        ways = [F.kl_div(x, y.detach(), log_target=True, reduction="sum") for x, y in ((one, other), (other, one))]
        total = total + (ways[0] + ways[1]) / 2
    return total / max(logits.size(1), 1)


def masked_items(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum over networks the mean cross-entropy of masked items: (N, n, C), (n,) -> scalar, 0 without rows."""
    each = F.cross_entropy(logits.flatten(0, 1), labels.repeat(logits.size(0)), reduction="sum")
    return each / max(len(labels), 1)


def contrasts(states: Tensor, near: Tensor, tau: float = 0.3) -> tuple[Tensor, Tensor]:
    """Contrast networks with themselves and with each other, ICL and CCL: (N, B, D), copies (N, M, B, D) -> scalars."""
    pairs = [(n, u) for n in range(len(states)) for u in range(len(states))]
    found = {(n, u): copy_contrast(states[n], states[u], near[u], tau) for n, u in pairs}
    icl, ccl = ([value for (n, u), value in found.items() if (n == u) is same] for same in (True, False))
    nothing = states.new_zeros(())
    return nothing + sum(icl), nothing + sum(ccl)


def emkd(
    anchors: Tensor,
    positives: Tensor,
    logits: Tensor,
    labels: Tensor,
    attribute_logits: Tensor,
    attributes: Tensor,
    *,
    tau: float = 0.3,
    contrast: float = 0.01,
    mutual: float = 0.001,
    padding: int = 0,
) -> EMKDTerms:
    """Sum an ensemble's losses: masked items, mutual teaching, contrasts and attributes. Du et al., SIGIR 2023,
    arXiv:2304.14668.

    sum_m sum_n CE(masked items) + ``mutual`` KL + sum_n BCE(attributes) + ``contrast`` (ICL + CCL), of N networks and M
    masked copies of each sequence. ICL = sum_n of ``copy_contrast`` within a network, CCL = sum over pairs n != u of
    h_n against the rows and copies of h_u; KL: see ``mutual_kl``. anchors (N, B, L, H): states of the unmasked
    sequences; positives (N, M, B, L, H): states of the copies. States are flattened, and padding takes part. logits (N,
    M, B, L, C); labels (M, B, L): the item at masked positions, ``padding`` elsewhere. attribute_logits (N, B, L, A),
    attributes (B, L, A) 0 or 1: read at the masked positions of the last copy, as in the authors' code. Cross-entropy
    is the mean over the masked positions of a copy, BCE the mean over these and attributes; both are 0 where nothing is
    masked. O(N^2 (B^2 L H + M n C)).
    """
    check_positive("tau", tau)
    _, copies = _sizes(anchors, positives, logits, labels, attribute_logits, attributes)
    anchors, positives, logits, attribute_logits = wide(anchors, positives, logits, attribute_logits)
    icl, ccl = contrasts(anchors.flatten(2), positives.flatten(3), tau)
    masked = labels != padding
    items = logits.new_zeros(())
    for copy in range(copies):
        items = items + masked_items(logits[:, copy, masked[copy]], labels[copy][masked[copy]])
    attribute = attribute_error(attribute_logits[:, masked[-1]], attributes[masked[-1]])
    kl = mutual_kl(logits, masked, tau)
    return EMKDTerms(items + mutual * kl + attribute + contrast * (icl + ccl), icl, ccl, kl, items, attribute)


def attribute_error(logits: Tensor, attributes: Tensor) -> Tensor:
    """Sum over networks the BCE of attributes, the mean over rows and attributes: (N, n, A), (n, A) -> scalar."""
    wanted = attributes.to(logits.dtype)
    bce = F.binary_cross_entropy_with_logits(logits, wanted.expand_as(logits), reduction="sum")
    return bce / max(wanted.numel(), 1)


def _sizes(
    anchors: Tensor, positives: Tensor, logits: Tensor, labels: Tensor, attribute_logits: Tensor, attributes: Tensor
) -> tuple[int, int]:
    """Networks and copies; ValueError where shapes do not go together."""
    if anchors.dim() != 4 or positives.dim() != 5 or logits.dim() != 5:
        got = [tuple(each.shape) for each in (anchors, positives, logits)]
        raise ValueError(f"'anchors' must be (N, B, L, H), 'positives' and 'logits' (N, M, B, L, .), got {got}")
    count, rows, length = anchors.shape[:3]
    copies = positives.size(1)
    wanted = {
        "positives": (positives.shape, (count, copies, rows, length, anchors.size(3))),
        "logits": (logits.shape[:4], (count, copies, rows, length)),
        "labels": (labels.shape, (copies, rows, length)),
        "attribute_logits": (attribute_logits.shape[:3], (count, rows, length)),
        "attributes": (attributes.shape, (rows, length, attribute_logits.size(-1))),
    }
    for name, (shape, want) in wanted.items():
        if tuple(shape) != want:
            raise ValueError(f"'{name}' must begin with the sizes {want}, got {tuple(shape)}")
    return count, copies
