"""DS-FL: clients learn the sharpened mean of their soft labels, by entropy reduction (ERA).

Itahara, Nishio, Koda, Morikura and Yamamoto, "Distillation-Based Semi-Supervised Federated Learning for
Communication-Efficient Collaborative Training with Non-IID Private Data", TMC 2021, arXiv:2008.06180.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.rule import Rule
from graphkd.schemes.teachers._combine import entropy_reduction


def rule(temperature: float = 0.1) -> Rule:
    """ERA's rule, see ``era``."""
    return Rule("answers", fuse=lambda received: entropy_reduction(received.answers, temperature), client=SoftCE())


@method("era", family="federated", paper="Itahara et al., TMC 2021", arxiv="2008.06180", needs=("clients", "public"))
def era(
    problem: Problem,
    *,
    public: Any,
    rounds: int = 5,
    local_epochs: int = 40,
    distil_epochs: int = 200,
    temperature: float = 0.1,
) -> nn.Module:
    """Train every client on its own data, and by cross-entropy with the sharpened mean probabilities on public rows.

    Choose it over FedMD where labels are so skewed that plain means say little. ``temperature``: below 1 sharpens, see
    ``entropy_reduction``. A round costs ``local_epochs`` and ``distil_epochs`` on ``public`` a client. Gives the
    clients' models as one, whose answer is the logarithm of their mean probabilities; its ``models`` are theirs. The
    server's own model, which the paper trains on the same target, is left out.
    """
    return federated(problem, rule(temperature), rounds, local_epochs, distil_epochs, public)
