"""Branches that learn from a classifier on all their features, and from each other's moving averages (PCL)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
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


def collaboration(logits: Tensor, ensemble: Tensor, averaged: Tensor) -> PeerTargets:
    """Make PCL's targets, the ensemble and the mean of the others' averages: (M, N, C), (N, C), (M, N, C)."""
    others = logits.size(0) - 1
    means = [(1 / others, averaged.detach().roll(step, dims=0)) for step in range(1, others + 1)]
    return PeerTargets([(1.0, ensemble.detach()), *means], auxiliary={"ensemble": Auxiliary(ensemble)})


class Collaboration(nn.Module):
    """Make targets by a classifier on all peers' features and by averages: a rule for ``Peers``, with ``hidden``."""

    def __init__(self, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.classify = nn.Linear(sum(widths), classes)

    def forward(self, logits: Tensor, hidden: Sequence[Tensor], averaged: Tensor) -> PeerTargets:
        """Make the targets: logits (M, N, C), M hidden layers (N, d_k), logits of moving averages (M, N, C)."""
        return collaboration(logits, self.classify(torch.cat(list(hidden), dim=1).relu()), averaged)


@method(
    "pcl",
    family="online",
    paper="Wu and Gong, AAAI 2021",
    arxiv="2006.04147",
    survey=(139,),
    tasks=("classes",),
    needs=("hidden",),
    teacher=False,
    space={"decay": (0.05, 0.9999), "ramp": (0.01, 1.0)},
)
def pcl(
    problem: Problem,
    *,
    count: int = 3,
    temperature: float = 3.0,
    weight: float = 1.0,
    ramp: float = 0.27,
    decay: float = 0.5,
    where: Where = "labelled",
    peers: Others = None,
) -> nn.Module:
    """Train branches on one trunk that learn from an ensemble of them and from each other's moving averages.

    L = sum_k CE(z_k) + CE(z_e) + w T^2 [sum_k KL(z_e -> z_k) + sum_k mean_{j != k} KL(z~_j -> z_k)]; z_e is a
    classifier on all branches' features, z~_j the moving average of branch j (``decay``; 0.5 as in ``mean_teacher``, in
    place of the authors' 0.999, which reaches back 1,000 of 100,000 steps); w rises to ``weight`` over the share
    ``ramp`` of training (the authors' 80 of 300 epochs). Choose it where few rows have labels: moving averages are
    steadier teachers than current peers. Trunk, count, where and peers are as in ``one``. Costs M trainings, with twice
    the forward passes.
    """
    models = peers_of(problem, peers, count)
    shared_trunk(models, str(problem.path_of(problem.student)))
    widths, classes = [problem.width_of(model) for model in models], problem.classes
    rule = problem.made(lambda: Collaboration(widths, classes))
    soft = soft_of(problem, temperature, where)
    return train_peers(problem, models, rule, soft=soft, weight=weight, ramp=ramp, decay=decay)
