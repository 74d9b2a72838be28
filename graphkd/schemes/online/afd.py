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

    D_k tells the features of peer k + 1 (cyclic: 1) from those of peer k (0), peer k fools it; plus the targets of
    ``each_other``. Peers see the discriminators constant, discriminators the features. taught: mask of the rows whose
    features play, (N,), by default all.
    """

    def __init__(self, peers: int, width: int, *, weight: float = 1.0) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(nn.Linear(width, 1) for _ in range(peers))
        self.weight = weight

    def forward(self, logits: Tensor, hidden: Sequence[Tensor], *, taught: Tensor | None = None) -> PeerTargets:
        """(M, N, C), M of (N, d), (N,)."""
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
    """Train peers that learn each other's answers, and to fool discriminators of their hidden features.

    Choose it where hidden features are to be alike as a distribution and rows should keep theirs; hidden layers must be
    of one width. Where the paper ("Feature-map-level Online Adversarial Knowledge Distillation") takes steps in turn
    with optimisers of their own, both parts are here one loss, see ``Adversaries``. weight: of the fooling; of 0.1,
    0.03, 0.01, 0.003 and 0 the fourth was best on Cora's validation nodes, by a tenth of a point; 1 spoils a GCN's
    features before labels have made any.
    count, where, peers: as in ``dml``; where: of features too.
    """
    models = peers_of(problem, peers, count)
    width = one_width(problem, models)
    rule = problem.made(lambda: Adversaries(len(models), width, weight=weight))
    data, soft = with_taught(problem, where), soft_of(problem, temperature, where)
    return train_peers(problem, models, rule, data=data, soft=soft)
