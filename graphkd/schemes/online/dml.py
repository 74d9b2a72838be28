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

    L_k = CE_k + (1 / (M - 1)) sum_{l != k} KL(p_l || p_k) at T = 1: peers of any architectures, nothing added to them.
    Its gradient is that of the KL to the others' mean probabilities (DML_e). The authors' code sums over peers
    (``weight=1``) and takes steps in turn, with answers anew; here at once. The student is kept, its peers are not.

    count: M, the student among them. where: rows that learn from others' answers, "labelled" as in the paper, or "all":
    at first peers know nothing, and then a good one loses on rows without labels what they do not know. peers: models
    to learn beside the student in place of fresh ones of its kind, called and tapped in its way; one that is trained
    already learns at first from those that are not, so train these on the labels before. Costs M trainings.
    """
    models = peers_of(problem, peers, count)
    return train_peers(problem, models, partial(each_other, weight=weight), soft=soft_of(problem, temperature, where))
