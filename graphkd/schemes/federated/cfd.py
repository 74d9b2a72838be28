"""CFD: soft labels in few bits, both ways.

Sattler, Marban, Rischke and Samek, "CFD: Communication-Efficient Federated Distillation via Soft-Label Quantization and
Delta Coding", IEEE TNSE 2021, arXiv:2012.00632.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.response.kd import KL
from graphkd.schemes.federated._coding import DeltaCode
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.rule import Rule
from graphkd.schemes.teachers._combine import soft_target


def rule(bits: int = 1, *, delta: bool = True) -> Rule:
    """Make CFD's rule, see ``cfd``."""
    return Rule(
        "answers",
        fuse=lambda received: soft_target(received.answers),
        server=KL(),
        client=KL(),
        returns_server=True,
        code=DeltaCode(bits, delta),
    )


@method(
    "cfd",
    family="federated",
    paper="Sattler et al., TNSE 2021",
    arxiv="2012.00632",
    survey=(116,),
    needs=("clients", "public"),
)
def cfd(
    problem: Problem,
    *,
    public: Any,
    rounds: int = 5,
    local_epochs: int = 40,
    distil_epochs: int = 200,
    server: nn.Module | None = None,
    bits: int = 1,
    delta: bool = True,
) -> nn.Module:
    """Train the server's model on the mean of soft labels in few bits; clients learn its answers, coded likewise.

    Choose it where rounds must send little. In both directions N C numbers become N C ``bits`` bits. With ``delta``
    only the difference from the previous message is sent, packed without loss (by zlib, in place of the authors'
    arithmetic coder); it shrinks as the models converge, and does not change what is learnt. ``public``: one batch of
    rows that all see. ``server``: the server's model, by default a fresh student. A round costs each client
    ``local_epochs`` on its data and ``distil_epochs`` on ``public``, and the server ``distil_epochs``. Returns the
    server's model. Answers to all public rows are sent in every round; the authors' selection of worthwhile rows is not
    implemented.
    """
    return federated(problem, rule(bits, delta=delta), rounds, local_epochs, distil_epochs, public, server)
