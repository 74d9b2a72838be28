"""FedGEMS: a large model of the server's, taught by those clients that are right.

Cheng, Wu, Xiao and Liu, "FedGEMS: Federated Learning of Larger Server Models via Selective Knowledge Fusion", 2021,
arXiv:2110.11027.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape
from graphkd.losses.response.conditional_ts import is_right
from graphkd.losses.response.kd import KL
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.federated._rounds import federated, labelled_rows
from graphkd.schemes.federated.rule import Received, Rule
from graphkd.schemes.teachers._combine import oracle_weights, soft_target

_LEAST = -30.0  # e^-30 in the place of a probability of 0


def rule(labels: Tensor, supervised: Loss) -> Rule:
    """Make FedGEMS's rule, see ``fedgems``; labels of the public rows, (N,), and the server's loss on them."""

    def fused(received: Received) -> Tensor:
        if received.own is None:
            raise ValueError("this rule trains a model of the server's: give 'server', got None")
        own = received.own
        return selective_fusion(own, received.answers, labels.to(own.device)).clamp_min(_LEAST)

    return Rule("answers", fuse=fused, server=SoftCE() + supervised, client=KL(), returns_server=True)


@method(
    "fedgems",
    family="federated",
    paper="Cheng et al., 2021",
    arxiv="2110.11027",
    survey=(118,),
    needs=("clients", "public"),
)
def fedgems(
    problem: Problem,
    *,
    public: Any,
    rounds: int = 5,
    local_epochs: int = 40,
    distil_epochs: int = 200,
    server: nn.Module | None = None,
) -> nn.Module:
    """Train the server's model on labelled public rows, taught by clients that are right; clients learn its answers.

    Choose it over MHAT where public rows have labels; ``public`` is one batch that all see, of which all rows count as
    labelled. The target is ``selective_fusion``'s. ``server``: the server's model, larger than the clients' in the
    paper, by default a fresh student. A round costs each client ``local_epochs`` on its data and ``distil_epochs`` on
    ``public``, and the server ``distil_epochs``. Returns the server's model. How the paper weights its terms is unknown
    to us.
    """
    public = labelled_rows(problem, public)
    made = rule(problem.task.targets(public), problem.supervised())
    return federated(problem, made, rounds, local_epochs, distil_epochs, public, server)


def selective_fusion(server: Tensor, teachers: Tensor, y: Tensor) -> Tensor:
    """Fuse the right answers to each row, as logits: (N, C), (K, N, C), (N,) -> (N, C). Cheng et al., 2021 (FedGEMS).

    A row's target is the server's own logits where they are right; else the mean of the right clients' answers; else,
    where all are wrong, the label, with minus infinity for other classes, which ``soft_cross_entropy`` accepts. A
    restatement of arXiv:2110.11027, which weights clients by their entropy H in a form unknown to us; here by exp(-H).
    """
    check_same_shape(server, teachers[0])
    right = oracle_weights(teachers, y)
    logs = teachers.to(accumulation_dtype(teachers)).log_softmax(dim=-1)
    clients = soft_target(teachers, weights=right * (logs.exp() * logs).sum(dim=-1).exp())
    label = F.one_hot(y, server.size(-1)).to(clients.dtype).log()
    fused = torch.where(right.any(dim=0)[:, None], clients, label)
    return torch.where(is_right(server, y)[:, None], server.to(clients.dtype), fused)
