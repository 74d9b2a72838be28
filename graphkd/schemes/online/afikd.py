"""Peers that learn each other's hidden features, weighted by attention (AFIKD)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.features.fitnet import fitnet
from graphkd.schemes.online._attention import peer_scores
from graphkd.schemes.online.dml import each_other
from graphkd.schemes.online.peers import (
    Others,
    PeerTargets,
    Where,
    one_width,
    peers_of,
    soft_of,
    train_peers,
    with_taught,
)


class AttendedFeatures(nn.Module):
    """Match every peer's features with the others', weighted by attention: a rule for ``Peers``, with ``hidden``.

    The loss is mean_i |h_i - sum_j a_ij h_j|^2 / d with a_ij = softmax over j != i of (W_q h_i) . (W_k h_j) /
    sqrt(inner) and the others' features constant; targets are those of ``each_other``. width: of the hidden layers.
    inner: width of queries and keys, by default an eighth of that. taught: mask (N,) of the rows that are matched, by
    default all.
    """

    def __init__(self, width: int, inner: int | None = None, *, weight: float = 1.0) -> None:
        super().__init__()
        self.inner, self.weight = max(width // 8, 1) if inner is None else inner, weight
        self.query, self.key = (nn.Linear(width, self.inner, bias=False) for _ in range(2))

    def forward(self, logits: Tensor, hidden: Sequence[Tensor], *, taught: Tensor | None = None) -> PeerTargets:
        """Make the targets: logits (M, N, C), M hidden layers (N, d), mask (N,)."""
        own = torch.stack([each if taught is None else each[taught] for each in hidden])
        fixed = own.detach()
        scores = peer_scores(self.query(fixed), self.key(fixed)) / self.inner**0.5
        itself = torch.eye(own.size(0), dtype=torch.bool, device=own.device)
        attention = scores.masked_fill(itself, -torch.inf).softmax(dim=-1)
        attended = torch.einsum("nij,jnd->ind", attention, fixed.to(attention.dtype))
        features = self.weight * fitnet(own, attended)
        return PeerTargets(each_other(logits).targets, terms={"features": features})


@method(
    "afikd",
    family="online",
    paper="Su et al., ICDM 2021",
    survey=(138,),
    tasks=("classes",),
    needs=("hidden",),
    teacher=False,
)
def afikd(
    problem: Problem,
    *,
    count: int = 3,
    temperature: float = 3.0,
    weight: float = 1.0,
    inner: int | None = None,
    where: Where = "labelled",
    peers: Others = None,
) -> nn.Module:
    """Train peers that learn each other's answers and hidden features, the features weighted by attention.

    Choose it for peers of one width whose hidden layers will be used, such as for retrieval. We know no formula or code
    of the paper ("Attention-based Feature Interaction for Efficient Online Knowledge Distillation"); this follows the
    survey's description, see ``AttendedFeatures``. weight: of the features. inner: width of queries and keys, an eighth
    of the hidden layer's by default. count, where, peers: as in ``dml``; ``where`` also selects the rows whose features
    are matched.
    """
    models = peers_of(problem, peers, count)
    width = one_width(problem, models)
    rule = problem.made(lambda: AttendedFeatures(width, inner, weight=weight))
    data, soft = with_taught(problem, where), soft_of(problem, temperature, where)
    return train_peers(problem, models, rule, data=data, soft=soft)
