"""Peers that learn each other's distribution of hidden features through discriminators (AFD)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
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


def fooling_squares(own: Tensor) -> Tensor:
    """Measure how far a network's features are from fooling its discriminator, mean (1 - d)^2: (N,) -> scalar."""
    return (1 - own.to(accumulation_dtype(own))).square().sum() / max(own.numel(), 1)


def discrimination_squares(own: Tensor, others: Tensor) -> Tensor:
    """Measure a discriminator by its scores of its network's and another's features: (N,), (N,) -> scalar.

    mean (1 - d(other))^2 + mean d(own)^2, the least-squares form of Mao et al., ICCV 2017, arXiv:1611.04076.
    """
    return fooling_squares(others) + own.to(accumulation_dtype(own)).square().sum() / max(own.numel(), 1)


class Adversaries(nn.Module):
    """Pair peers with discriminators of their features: a rule for ``Peers``, which needs ``hidden``.

    Discriminator D_k learns to give 1 for the features of peer k + 1 (cyclic) and 0 for those of peer k, which learns
    to fool it; targets are those of ``each_other``. The discriminators are constant in the peers' loss, the features in
    the discriminators'. peers: their number. width: of their hidden layers. weight: of the fooling. taught: mask (N,)
    of the rows whose features are compared, by default all.
    """

    def __init__(self, peers: int, width: int, *, weight: float = 1.0) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(nn.Linear(width, 1) for _ in range(peers))
        self.weight = weight

    def forward(self, logits: Tensor, hidden: Sequence[Tensor], *, taught: Tensor | None = None) -> PeerTargets:
        """Make the targets: logits (M, N, C), M hidden layers (N, d), mask (N,)."""
        hidden = hidden if taught is None else [own[taught] for own in hidden]
        fooling: Any = 0.0
        discrimination: Any = 0.0
        for k, discriminator in enumerate(self.discriminators):
            constant = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
            fooling = fooling + fooling_squares(functional_call(discriminator, constant, (hidden[k],)))
            own, other = (discriminator(hidden[peer % len(hidden)].detach()) for peer in (k, k + 1))
            discrimination = discrimination + discrimination_squares(own, other)
        terms = {"fooling": self.weight * fooling, "discrimination": discrimination}
        return PeerTargets(each_other(logits).targets, terms=terms)


@method(
    "afd",
    family="online",
    paper="Chung et al., ICML 2020",
    arxiv="2002.01775",
    survey=(146,),
    tasks=("classes",),
    needs=("hidden",),
    teacher=False,
)
def afd(
    problem: Problem,
    *,
    count: int = 3,
    temperature: float = 3.0,
    weight: float = 0.003,
    where: Where = "labelled",
    peers: Others = None,
) -> nn.Module:
    """Train peers that learn each other's answers and to fool discriminators of their hidden features.

    Choose it to make hidden features alike in distribution, not row by row; hidden layers must have one width. The
    paper ("Feature-map-level Online Adversarial Knowledge Distillation") alternates steps of two optimisers; here both
    parts are one loss, see ``Adversaries``. weight: of the fooling; 0.003 was the best of 0.1, 0.03, 0.01, 0.003 and 0
    on Cora's validation nodes, by a tenth of a point; 1 spoils a GCN's features before labels have shaped them. count,
    where, peers: as in ``dml``; ``where`` also selects the rows whose features are compared.
    """
    models = peers_of(problem, peers, count)
    width = one_width(problem, models)
    rule = problem.made(lambda: Adversaries(len(models), width, weight=weight))
    data, soft = with_taught(problem, where), soft_of(problem, temperature, where)
    return train_peers(problem, models, rule, data=data, soft=soft)
