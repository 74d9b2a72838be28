"""FedGKD: clients keep to what past global models say.

Yao et al., "Local-Global Knowledge Distillation in Heterogeneous Federated Learning with Non-IID Data", 2021,
arXiv:2107.00051.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.response.kd import KL
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.client import Client
from graphkd.schemes.federated.rule import Rule


def rule(gamma: float = 0.2, history: int = 5) -> Rule:
    """Make FedGKD's rule, see ``fedgkd``."""

    def local(client: Client, *_: Any) -> Loss:
        return client.task.supervised() + gamma / 2 * KL(where=client.task.labelled)

    return Rule(local=local, history=history)


@method("fedgkd", family="federated", paper="Yao et al., 2021", arxiv="2107.00051", survey=(111,), needs=("clients",))
def fedgkd(
    problem: Problem, *, rounds: int = 5, local_epochs: int = 40, gamma: float = 0.2, history: int = 5
) -> nn.Module:
    """Train clients by CE + gamma / 2 KL from the mean of the last global models, and average their weights.

    Choose it where FedAvg's clients drift apart and there are no public rows. KL is on labelled rows, the only ones
    that the paper's clients have: other rows would learn from the global model alone, which is random at first.
    ``history``: number of last global models whose weights are averaged into the teacher. Costs one forward pass per
    local step more than FedAvg, the teacher's. Returns the global model.
    """
    return federated(problem, rule(gamma, history), rounds, local_epochs)
