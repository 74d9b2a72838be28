"""Diverse peers by attention, and a leader that learns from their mean (OKDDip)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.schemes.online._attention import peer_scores
from graphkd.schemes.online.peers import (
    Others,
    PeerTargets,
    Where,
    leader_last,
    one_width,
    peers_of,
    soft_of,
    train_peers,
)


class PeerAttention(nn.Module):
    """Weight all peers for each by attention, and equally for a leader: a rule for ``Peers``, with ``hidden``.

    a_ij = softmax_j((W_q h_i) . (W_k h_j)) row by row, over all peers, peer i included, without scaling; the target of
    peer i is sum_j a_ij z_j, that of the leader, the last model, (1 / M) sum_j z_j. As in the authors' code targets are
    not constant: the gradient of each KL, the leader's included, also goes through the target to attention and peers.
    """

    def __init__(self, width: int, inner: int | None = None) -> None:
        super().__init__()
        inner = max(width // 8, 1) if inner is None else inner
        self.query, self.key = (nn.Linear(width, inner, bias=False) for _ in range(2))

    def forward(self, logits: Tensor, hidden: Sequence[Tensor]) -> PeerTargets:
        """Make the targets: logits (M + 1, N, C), M + 1 hidden layers (N, d), the leader's last."""
        targets = self.attend(logits[:-1], torch.stack(list(hidden[:-1])))
        return PeerTargets([(1.0, torch.cat([targets, logits[:-1].mean(dim=0, keepdim=True)]))])

    def attend(self, logits: Tensor, hidden: Tensor) -> Tensor:
        """Make the peers' targets: (M, N, C), (M, N, d) -> (M, N, C)."""
        scores = peer_scores(self.query(hidden), self.key(hidden))
        return torch.einsum("nij,jnc->inc", scores.softmax(dim=-1), logits.to(scores.dtype)).to(logits.dtype)


@method(
    "okddip",
    family="online",
    paper="Chen et al., AAAI 2020",
    arxiv="1912.00350",
    survey=(136,),
    tasks=("classes",),
    needs=("hidden",),
    teacher=False,
    space={"ramp": (0.01, 1.0)},
)
def okddip(
    problem: Problem,
    *,
    count: int = 3,
    temperature: float = 3.0,
    weight: float = 1.0,
    ramp: float = 0.27,
    inner: int | None = None,
    where: Where = "labelled",
    peers: Others = None,
) -> nn.Module:
    """Train peers that each weigh all answers by attention, and the student, their leader, on the mean of them.

    L = sum_k CE_k + w T^2 [sum_{k < leader} KL(t_k -> z_k) + KL(mean z -> z_leader)], see ``PeerAttention``; w rises to
    ``weight`` over the share ``ramp`` of training (the authors' 80 of 300 epochs). Choose it where peers grow too alike
    under ``dml``. Hidden layers must have one width. We do not know whether the paper weights logits or probabilities;
    the code weights logits, and adds 1e-7 to the target (``GuardedKL``). inner: width of queries and keys, an eighth of
    the hidden layer's by default. count, where, peers: as in ``dml``, 3 models at least.
    """
    models = leader_last(peers_of(problem, peers, count))
    width = one_width(problem, models)
    rule = problem.made(lambda: PeerAttention(width, inner))
    return train_peers(problem, models, rule, soft=soft_of(problem, temperature, where), weight=weight, ramp=ramp)
