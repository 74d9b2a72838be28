"""KL from soft labels along weighted edges, which KRD, HGMD and HG2M share, without an (E, C) tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from graphkd.kernels import edge_layout, edge_spmm
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_same_shape

BLOCK = 1 << 16  # edges whose targets are in memory at a time


@dataclass(frozen=True)
class EdgeTargets:
    """A teacher's part of ``neighbour_kl``, summed over the edges (i, j) by which a node i learns from a node j.

    target: (N, C), sum_e w_e t_e over the edges of each node i; negentropy: scalar, sum_e w_e <t_e, log t_e>; total:
    the divisor of the sum of divergences.
    """

    target: Tensor
    negentropy: Tensor
    total: float | Tensor

    @classmethod
    def of(
        cls,
        teacher: Tensor,
        edge_index: Tensor,
        weight: Tensor | None = None,
        *,
        temperature: float = 1.0,
        total: float | Tensor | None = None,
        loops: float = 0.0,
    ) -> Self:
        """Sum targets t_e = q_j at the temperature, j = ``edge_index[1]``: (N, C) logits, (2, E), weights (E,).

        loops: weight of an added self-loop at every node. total: by default the number of edges plus ``loops`` N.
        O(E C) time in one sparse product, O(N C) memory.
        """
        log_q = soft_labels(teacher, temperature)
        layout = edge_layout(edge_index, teacher.size(0))
        q = log_q.exp()
        own = q.new_ones(layout.num_edges) if weight is None else weight.to(q)[layout.order]
        target = edge_spmm(own, q, layout, transpose=True) + loops * q
        taught = q.new_full((q.size(0),), loops).index_add(0, layout.target, own)
        count = layout.num_edges + loops * q.size(0) if total is None else total
        return cls(target, (taught * (q * log_q).sum(dim=1)).sum(), count)

    @classmethod
    def mixed(
        cls,
        teacher: Tensor,
        edge_index: Tensor,
        share: Tensor,
        *,
        temperature: float = 1.0,
        smoothing: float = 0.0,
        loops: bool = False,
    ) -> Self:
        """Sum targets t_e = (1 - w_e) q_i + w_e q_j over edges of weight 1: (N, C) logits, (2, E), shares w (E,).

        smoothing: eps of (t + eps) / (1 + C eps). loops: add a self-loop with the target q_i at every node.
        Only the entropy needs single targets; they are computed in blocks of edges.
        """
        q = soft_labels(teacher, temperature).exp()
        learner, taught = edge_index
        share = share.to(q)
        layout = edge_layout(edge_index, q.size(0))
        kept = q.new_full((q.size(0),), float(loops)).index_add(0, learner, 1 - share)
        target = kept[:, None] * q + edge_spmm(share[layout.order], q, layout, transpose=True)
        edges = torch.bincount(learner, minlength=q.size(0)).to(q) + float(loops)
        scale = 1 + smoothing * q.size(1)
        target = (target + smoothing * edges[:, None]) / scale
        negentropy = _negentropy((q + smoothing) / scale).sum() if loops else q.new_zeros(())
        for i, j, w in zip(learner.split(BLOCK), taught.split(BLOCK), share.split(BLOCK), strict=True):
            negentropy = negentropy + _negentropy((torch.lerp(q[i], q[j], w[:, None]) + smoothing) / scale).sum()
        return cls(target, negentropy, edge_index.size(1) + float(loops) * q.size(0))


def soft_labels(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Log-probabilities at a temperature, in float32 at least: (N, C) -> (N, C)."""
    check_positive("temperature", temperature)
    return (logits.to(accumulation_dtype(logits)) / temperature).log_softmax(dim=1)


def entropy(logits: Tensor) -> Tensor:
    """Entropy of each row's classes, natural logarithm: (N, C) -> (N,)."""
    return -_negentropy(soft_labels(logits).exp())


def _negentropy(p: Tensor) -> Tensor:
    return torch.special.xlogy(p, p).sum(dim=1)


def neighbour_kl(student: Tensor, targets: EdgeTargets, temperature: float = 1.0) -> Tensor:
    """(1/total) sum_e w_e KL(t_e || softmax(s_i / T)), no T^2: (N, C) -> scalar.

    The gradient with respect to s is (W p - S) / (total T), W_i the sum of node i's edge weights and S the summed
    targets: O(N C) for any number of edges. ``temperature`` must be that of the targets.
    """
    check_same_shape(student, targets.target)
    log_p = soft_labels(student, temperature)
    total = targets.total if isinstance(targets.total, Tensor) else max(targets.total, 1)
    return (targets.negentropy - (targets.target * log_p).sum()) / total
