"""Clients that learn alone: the baseline of federated methods."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.rule import Rule


@method("alone", family="federated", needs=("clients",))
def alone(problem: Problem, *, rounds: int = 5, local_epochs: int = 40) -> nn.Module:
    """Train every client's model on its own data alone; choose it as the baseline of federated methods.

    Clients train for ``rounds`` times ``local_epochs`` epochs, with a new optimiser in each round, as in the other
    methods; nothing is sent. Returns the clients' models as one, ``Together``, whose answer is the logarithm of their
    mean probabilities; its ``models`` are theirs.
    """
    return federated(problem, Rule("answers"), rounds, local_epochs)
