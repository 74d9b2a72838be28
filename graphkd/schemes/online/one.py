"""Branches on one trunk, and a gate that makes one ensemble of them (ONE)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._batch_norm import BatchNorm
from graphkd.schemes.online.peers import (
    Auxiliary,
    Others,
    PeerTargets,
    Where,
    peers_of,
    shared_trunk,
    soft_of,
    train_peers,
)


def gated_ensemble(logits: Tensor, scores: Tensor) -> PeerTargets:
    """Make ONE's targets from the gate's scores: (M, N, C), (N, M); the ensemble learns the labels alone."""
    gates = scores.relu().softmax(dim=1)
    ensemble = torch.einsum("nm,mnc->nc", gates, logits)
    return PeerTargets([(1.0, ensemble.detach())], auxiliary={"ensemble": Auxiliary(ensemble)})


class Gate(nn.Module):
    """Weigh the peers row by row, z_e = sum_k g_k z_k, the target of all: a rule for ``Peers``, with ``hidden``.

    g = softmax(relu(BN(W h))), h the first peer's hidden features: those of the trunk where it is shared.
    """

    def __init__(self, width: int, peers: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width, peers), BatchNorm(peers))

    def forward(self, logits: Tensor, hidden: Sequence[Tensor]) -> PeerTargets:
        """Make the targets: logits (M, N, C), M hidden layers (N, d)."""
        return gated_ensemble(logits, self.score(hidden[0]))


@method(
    "one",
    family="online",
    paper="Lan et al., NeurIPS 2018",
    arxiv="1806.04606",
    survey=(35,),
    tasks=("classes",),
    needs=("hidden",),
    teacher=False,
    space={"ramp": (0.01, 1.0)},
)
def one(
    problem: Problem,
    *,
    count: int = 3,
    temperature: float = 3.0,
    weight: float = 1.0,
    ramp: float = 0.27,
    where: Where = "labelled",
    peers: Others = None,
) -> nn.Module:
    """Train branches on one trunk that learn from an ensemble of them, which a gate weighs row by row.

    L = sum_k CE(z_k) + CE(z_e) + w sum_k T^2 KL(p(z_e) || p(z_k)), with z_e constant in the KL and w rising to
    ``weight`` over the share ``ramp`` of training, 80 of 300 epochs in the authors' code (they add 1e-7 to the target:
    ``GuardedKL``). Choose it to improve one network's training at little cost. All branches share one module, the
    trunk, which is that at the student's ``hidden`` path; the student is returned with it. count, where, peers: as in
    ``dml``, of the student's architecture up to the hidden layer.
    """
    models = peers_of(problem, peers, count)
    shared_trunk(models, str(problem.path_of(problem.student)))
    width = problem.width_of(problem.student)
    rule = problem.made(lambda: Gate(width, len(models)))
    return train_peers(problem, models, rule, soft=soft_of(problem, temperature, where), weight=weight, ramp=ramp)
