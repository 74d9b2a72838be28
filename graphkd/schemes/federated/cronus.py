"""Cronus: clients learn a robust mean of their soft labels.

Chang, Shejwalkar, Shokri and Houmansadr, "Cronus: Robust and Heterogeneous Collaborative Learning with Black-Box
Knowledge Transfer", 2019, arXiv:1912.11279.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.federated._messages import LEAST
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.rule import Received, Rule
from graphkd.schemes.teachers._combine import trimmed_mean


def rule(trim: int = 1) -> Rule:
    """Cronus's rule, see ``cronus``."""

    def fused(received: Received) -> Tensor:
        return trimmed_mean(received.answers.softmax(dim=-1), trim).clamp_min(LEAST).log()

    return Rule("answers", fuse=fused, client=SoftCE())


@method("cronus", family="federated", paper="Chang et al., 2019", arxiv="1912.11279", needs=("clients", "public"))
def cronus(
    problem: Problem, *, public: Any, rounds: int = 5, local_epochs: int = 40, distil_epochs: int = 200, trim: int = 1
) -> nn.Module:
    """Train every client on its own data, and on a mean of all answers on public rows that leaves out the extremes.

    Choose it where a client may lie. ``trim``: how many of the smallest and of the largest values of each entry are
    left out; there must be more than twice as many clients. A round costs ``local_epochs`` and ``distil_epochs`` on
    ``public`` a client. Gives the clients' models as one, whose answer is the logarithm of their mean probabilities;
    its ``models`` are theirs. A trimmed mean takes the place of the authors' estimator; its rows are made to sum to 1.
    Their clients learn own and public rows together, here one after the other.
    """
    return federated(problem, rule(trim), rounds, local_epochs, distil_epochs, public)
