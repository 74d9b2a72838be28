"""Cronus: clients learn a robust mean of their soft labels.

Chang, Shejwalkar, Shokri and Houmansadr, "Cronus: Robust and Heterogeneous Collaborative Learning with Black-Box
Knowledge Transfer", 2019, arXiv:1912.11279.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import choose
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.federated._messages import LEAST
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.rule import Received, Rule
from graphkd.schemes.teachers._combine import check_stack, trimmed_mean

_ROUNDING = 1e-6  # of weights that sum to whole numbers
Estimator = Literal["filter", "trim"]


def rule(liars: int = 1, estimator: Estimator = "filter") -> Rule:
    """Make Cronus's rule, see ``cronus``."""
    choose("estimator", estimator, get_args(Estimator))
    mean = {"filter": filtered_mean, "trim": trimmed_mean}[estimator]

    def fused(received: Received) -> Tensor:
        return mean(received.answers.softmax(dim=-1), liars).clamp_min(LEAST).log()

    return Rule("answers", fuse=fused, client=SoftCE())


@method(
    "cronus",
    family="federated",
    paper="Chang et al., 2019",
    arxiv="1912.11279",
    survey=(119,),
    needs=("clients", "public"),
)
def cronus(
    problem: Problem,
    *,
    public: Any,
    rounds: int = 5,
    local_epochs: int = 40,
    distil_epochs: int = 200,
    liars: int = 1,
    estimator: Estimator = "filter",
) -> nn.Module:
    """Train every client on its own data, and on a robust mean of all answers on public rows.

    Choose it where clients may send false answers. ``liars``: how many may; there must be more than twice as many
    clients. ``estimator``: the paper's "filter", see ``filtered_mean``, or "trim", the mean of each entry without its
    ``liars`` smallest and ``liars`` largest values. Both discard some knowledge of honest clients where their labels
    are skewed. ``public``: one batch of rows that all see. A round costs each client ``local_epochs`` on its data and
    ``distil_epochs`` on ``public``. Returns the clients' models as one, ``Together``, whose answer is the logarithm of
    their mean probabilities; its ``models`` are theirs. The paper's clients learn own and public rows together, here
    one after the other.
    """
    return federated(problem, rule(liars, estimator), rounds, local_epochs, distil_epochs, public)


def filtered_mean(teachers: Tensor, liars: int = 1) -> Tensor:
    """Estimate the mean of honest clients' answers to each row: (K, N, C) -> (N, C).

    The filter of Diakonikolas et al., "Being Robust (in High Dimensions) Can Be Practical", ICML 2017,
    arXiv:1703.00893, which Cronus (Chang et al., 2019, arXiv:1912.11279) uses. Along the direction in which the answers
    to a row vary most, each client's weight falls by a share, its squared distance from the mean over the largest such
    distance, so that the farthest client loses all. This repeats until a total weight of ``liars`` is lost, and never
    removes more than twice that; equally distant clients lose equally. Our reading: the authors stop at the variance
    that honest clients may have, which is not known here, and remove at random. O(liars N (K C^2 + C^3)). Raises
    ValueError unless ``liars`` is below K / 2.
    """
    check_stack(teachers)
    if not 0 <= 2 * liars < teachers.size(0):
        raise ValueError(f"'liars' must be less than half of {teachers.size(0)} teachers, got {liars}")
    answers = teachers.to(accumulation_dtype(teachers))
    weights = answers.new_ones(answers.shape[:2])
    mean = answers.mean(dim=0)
    for _ in range(liars):
        far = answers - mean
        spread = torch.einsum("kn,knc,knd->ncd", weights, far, far)
        widest = torch.linalg.eigh(spread).eigenvectors[..., -1]
        scores = (far * widest).sum(dim=-1).square() * (weights > 0)
        most = scores.amax(dim=0)
        lost = scores / most.clamp_min(torch.finfo(most.dtype).tiny)
        before = teachers.size(0) - weights.sum(dim=0)
        share = (2 * liars - before) / lost.sum(dim=0).clamp_min(torch.finfo(most.dtype).tiny)
        weights = weights - lost * weights * torch.where(before < liars - _ROUNDING, share.clamp_max(1), 0)
        mean = torch.einsum("kn,knc->nc", weights, answers) / weights.sum(dim=0)[:, None]
    return mean
