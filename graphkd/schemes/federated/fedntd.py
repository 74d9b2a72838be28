"""FedNTD: clients keep what the global model says of the classes that a row is not of.

Lee, Jeong, Shin, Bae and Yun, "Preservation of the Global Knowledge by Not-True Distillation in Federated Learning",
NeurIPS 2022, arXiv:2106.03097.
"""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.response.nckd import NCKD
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.rule import Rule


def rule(beta: float = 1.0, temperature: float = 1.0) -> Rule:
    """Make FedNTD's rule, see ``fedntd``."""
    return Rule(
        local=lambda client, *_: client.task.supervised() + beta * NCKD(temperature, where=client.task.labelled)
    )


@method(
    "fedntd",
    family="federated",
    paper="Lee et al., NeurIPS 2022",
    arxiv="2106.03097",
    survey=(112,),
    needs=("clients",),
)
def fedntd(
    problem: Problem, *, rounds: int = 5, local_epochs: int = 40, beta: float = 1.0, temperature: float = 1.0
) -> nn.Module:
    """Train clients by CE + beta NCKD from the global model, and average their weights.

    Choose it over FedGKD where clients lack whole classes, which they would otherwise forget: NCKD, at ``temperature``,
    preserves the global model's odds between the classes other than the label, on labelled rows. Costs one forward pass
    per local step more than FedAvg, the global model's. Returns the global model.
    """
    return federated(problem, rule(beta, temperature), rounds, local_epochs)
