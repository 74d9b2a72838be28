"""Peers whose features are fused into one classifier, which teaches them and is taught by them (FFL)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.schemes.online.peers import Auxiliary, Others, PeerTargets, Where, peers_of, soft_of, train_peers


def mutual_fusion(logits: Tensor, fused: Tensor) -> PeerTargets:
    """Make FFL's targets: the fused logits for peers, the peers' mean for the fused classifier: (M, N, C), (N, C)."""
    return PeerTargets([(1.0, fused.detach())], auxiliary={"fused": Auxiliary(fused, logits.detach().mean(dim=0))})


class Fusion(nn.Module):
    """Fuse the peers' features into one classifier, with targets both ways: a rule for ``Peers``, with ``hidden``."""

    def __init__(self, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.fuse = nn.Linear(sum(widths), max(widths))
        self.classify = nn.Linear(max(widths), classes)

    def forward(self, logits: Tensor, hidden: Sequence[Tensor]) -> PeerTargets:
        """Make the targets: logits (M, N, C), M hidden layers (N, d_k)."""
        return mutual_fusion(logits, self.classify(self.fuse(torch.cat(list(hidden), dim=1)).relu()))


@method(
    "ffl",
    family="online",
    paper="Kim et al., ICPR 2020",
    arxiv="1904.09058",
    survey=(137,),
    tasks=("classes",),
    needs=("hidden",),
    teacher=False,
    space={"ramp": (0.01, 1.0)},
)
def ffl(
    problem: Problem,
    *,
    count: int = 3,
    temperature: float = 3.0,
    weight: float = 1.0,
    ramp: float = 0.27,
    where: Where = "labelled",
    peers: Others = None,
) -> nn.Module:
    """Train peers and a classifier on all their features that learn from each other.

    L = sum_k CE(z_k) + CE(z_f) + w [T^2 KL(mean_k z_k -> z_f) + sum_k T^2 KL(z_f -> z_k)], with every target constant,
    T = ``temperature``, and w rising to ``weight`` over the share ``ramp`` of training (the authors' 80 of 300 epochs).
    z_f is computed from all peers' features by two linear layers, where the paper has a depthwise and a pointwise
    convolution. Choose it for peers whose features complement each other, such as different architectures. The fused
    classifier, the most accurate and most expensive of them, is discarded; to keep it, fit ``Peers`` with the rule
    ``Fusion``. count, where, peers: as in ``dml``.
    """
    models = peers_of(problem, peers, count)
    widths, classes = [problem.width_of(model) for model in models], problem.classes
    rule = problem.made(lambda: Fusion(widths, classes))
    return train_peers(problem, models, rule, soft=soft_of(problem, temperature, where), weight=weight, ramp=ramp)
