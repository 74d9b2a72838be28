"""Federated averaging.

McMahan, Moore, Ramage, Hampson and Agüera y Arcas, "Communication-Efficient Learning of Deep Networks from
Decentralized Data", AISTATS 2017, arXiv:1602.05629.
"""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.rule import Rule


@method("fedavg", family="federated", paper="McMahan et al., AISTATS 2017", arxiv="1602.05629", needs=("clients",))
def fedavg(problem: Problem, *, rounds: int = 5, local_epochs: int = 40) -> nn.Module:
    """Average clients' weights; choose it where all train one architecture and their labels are alike.

    In each of ``rounds`` rounds all clients start with the global weights, learn for ``local_epochs`` epochs with a new
    optimiser, and the global weights become the mean of theirs, weighted by their numbers of labelled rows. It needs no
    public rows and costs the server nothing. Returns the global model.
    """
    return federated(problem, Rule(), rounds, local_epochs)
