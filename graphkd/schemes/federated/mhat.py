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
    """Make MHAT's rule, see ``mhat``."""
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
    """Train the server's model on the clients' mean answer on public rows; clients learn its answers.

    Choose it over FedMD where the server can afford a model of its own, which is better than a mean. ``public``: one
    batch of rows that all see. ``server``: that model, by default a fresh student. A round costs each client
    ``local_epochs`` on its data and ``distil_epochs`` on ``public``, and the server ``distil_epochs``. Returns the
    server's model. The paper's details are unknown to us.
    """
    return federated(problem, rule(), rounds, local_epochs, distil_epochs, public, server)
