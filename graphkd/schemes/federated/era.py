"""DS-FL: clients learn the sharpened mean of their soft labels, by entropy reduction (ERA).

Itahara, Nishio, Koda, Morikura and Yamamoto, "Distillation-Based Semi-Supervised Federated Learning for
Communication-Efficient Collaborative Training with Non-IID Private Data", TMC 2021, arXiv:2008.06180.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.rule import Received, Rule
from graphkd.schemes.teachers._combine import entropy_reduction


def rule(temperature: float = 0.1) -> Rule:
    """Make ERA's rule, see ``era``."""

    def fused(received: Received) -> Tensor:
        return entropy_reduction(received.answers, temperature)

    return Rule("answers", fuse=fused, server=SoftCE(), client=SoftCE())


@method(
    "era",
    family="federated",
    paper="Itahara et al., TMC 2021",
    arxiv="2008.06180",
    survey=(121,),
    needs=("clients", "public"),
)
def era(
    problem: Problem,
    *,
    public: Any,
    rounds: int = 5,
    local_epochs: int = 40,
    distil_epochs: int = 200,
    server: nn.Module | None = None,
    temperature: float = 0.1,
) -> nn.Module:
    """Train every client and the server's model by cross-entropy with the sharpened mean probabilities on public rows.

    Choose it over FedMD where labels are so skewed that plain means carry little information. Clients also learn their
    own data. ``temperature``: below 1 sharpens, see ``entropy_reduction``. ``public``: one batch of rows that all see.
    ``server``: the server's model, by default a fresh student. A round costs each client ``local_epochs`` on its data
    and ``distil_epochs`` on ``public``, and the server ``distil_epochs``. Returns the server's model, the paper's
    global one, which continues from round to round.
    """
    return federated(problem, rule(temperature), rounds, local_epochs, distil_epochs, public, server)
