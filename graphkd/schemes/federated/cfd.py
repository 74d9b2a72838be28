"""CFD: soft labels in few bits, both ways.

Sattler, Marban, Rischke and Samek, "CFD: Communication-Efficient Federated Distillation via Soft-Label Quantization and
Delta Coding", IEEE TNSE 2021, arXiv:2012.00632.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.response.kd import KL
from graphkd.schemes.federated._messages import LEAST
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.rule import Rule
from graphkd.schemes.teachers._combine import soft_target


def rule(bits: int = 1) -> Rule:
    """CFD's rule, see ``cfd``."""
    return Rule(
        "answers",
        fuse=lambda received: soft_target(received.answers),
        server=KL(),
        client=KL(),
        returns_server=True,
        encode=lambda answers: quantise(answers.softmax(dim=-1), bits).clamp_min(LEAST).log(),
    )


@method("cfd", family="federated", paper="Sattler et al., TNSE 2021", arxiv="2012.00632", needs=("clients", "public"))
def cfd(
    problem: Problem,
    *,
    public: Any,
    rounds: int = 5,
    local_epochs: int = 40,
    distil_epochs: int = 200,
    server: nn.Module | None = None,
    bits: int = 1,
) -> nn.Module:
    """Train a model of the server's on the mean of soft labels in few bits; clients learn its answers, coded alike.

    Choose it where a round must cost little: N C numbers become at most N ``bits`` C bits. ``server``: its model, by
    default a fresh student. A round costs ``local_epochs`` and ``distil_epochs`` on ``public`` a client, and the latter
    for the server. Gives the server's model. Changes alone are not coded (their delta code), and all public rows are
    sent in every round.
    """
    return federated(problem, rule(bits), rounds, local_epochs, distil_epochs, public, server)


def quantise(probabilities: Tensor, bits: int = 1) -> Tensor:
    """Code probabilities in few bits: (N, C) -> (N, C). Sattler et al., TNSE 2021, arXiv:2012.00632 (CFD).

    The point nearest in L1 whose entries are multiples of 1 / (2^bits - 1) and sum to 1: every entry rounded down, the
    units that are left to the largest remainders, of equal ones to the first class. One bit is the one-hot argmax.
    O(N C log C).
    """
    if not 1 <= bits <= 16:
        raise ValueError(f"'bits' must be from 1 to 16, got {bits}")
    levels = 2**bits - 1
    scaled = probabilities * levels
    units = scaled.floor()
    left = (levels - units.sum(dim=-1, keepdim=True)).round()
    rank = (scaled - units).argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    return (units + (rank < left)) / levels
