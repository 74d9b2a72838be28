"""MHAT: a model of the server's between clients of any architecture.

Hu et al., "MHAT: An Efficient Model-Heterogenous Aggregation Training Scheme for Federated Learning", 2021.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.response.kd import KL
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.rule import Rule
from graphkd.schemes.teachers._combine import soft_target


def rule() -> Rule:
    """MHAT's rule, see ``mhat``."""
    return Rule(
        "answers", fuse=lambda received: soft_target(received.answers), server=KL(), client=KL(), returns_server=True
    )


@method("mhat", family="federated", paper="Hu et al., 2021", survey=(117,), needs=("clients", "public"))
def mhat(
    problem: Problem,
    *,
    public: Any,
    rounds: int = 5,
    local_epochs: int = 40,
    distil_epochs: int = 200,
    server: nn.Module | None = None,
) -> nn.Module:
    """Train a model of the server's on the clients' mean answer on public rows; clients learn its answers.

    Choose it over FedMD where the server can afford a model of its own, better than a mean. ``server``: that model, by
    default a fresh student. A round costs ``local_epochs`` and ``distil_epochs`` on ``public`` a client, and the latter
    for the server. Gives the server's model. The paper's details are unknown to us.
    """
    return federated(problem, rule(), rounds, local_epochs, distil_epochs, public, server)
