"""Deep mutual learning: peers that learn from each other's answers (DML)."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.schemes.online.peers import Others, PeerTargets, Where, peers_of, soft_of, train_peers


def each_other(logits: Tensor, *, weight: float | None = None) -> PeerTargets:
    """Make each other peer every peer's target: (M, N, C); ``weight`` of each, 1 / (M - 1) by default."""
    others = logits.size(0) - 1
    fixed = logits.detach()
    share = 1 / max(others, 1) if weight is None else weight
    return PeerTargets([(share, fixed.roll(step, dims=0)) for step in range(1, others + 1)])


@method(
    "dml",
    family="online",
    paper="Zhang et al., CVPR 2018",
    arxiv="1706.00384",
    survey=(23,),
    tasks=("classes",),
    teacher=False,
)
def dml(
    problem: Problem,
    *,
    count: int = 3,
    temperature: float = 1.0,
    weight: float | None = None,
    where: Where = "labelled",
    peers: Others = None,
) -> nn.Module:
    """Train peers that learn the labels and each other's answers; choose it as the plainest of the online methods.

    L_k = CE_k + (1 / (M - 1)) sum_{l != k} KL(p_l || p_k) at T = 1; peers may have any architectures and need no extra
    layers. Its gradient is that of the KL to the others' mean probabilities (DML_e). The authors' code sums over peers
    (``weight=1``) and updates them in turn, with answers recomputed; here all update at once. The student is returned,
    its peers are discarded.

    count: M, including the student. weight: of each KL. where: rows that learn from others' answers, "labelled" as in
    the paper, or "all", where a good peer unlearns on rows without labels while the others are untrained. peers: models
    to train beside the student in place of fresh ones of its architecture, called and tapped as it is. If one of the
    models comes trained, train the others on the labels first, since it learns from them from the first step. Costs M
    trainings.
    """
    models = peers_of(problem, peers, count)
    return train_peers(problem, models, partial(each_other, weight=weight), soft=soft_of(problem, temperature, where))
