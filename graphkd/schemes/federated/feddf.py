"""FedDF: ensemble distillation of clients' models into the global ones.

Lin, Kong, Stich and Jaggi, "Ensemble Distillation for Robust Model Fusion in Federated Learning", NeurIPS 2020,
arXiv:2006.07242.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import choose
from graphkd.losses.response.kd import KL, kl
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.rule import Rule
from graphkd.schemes.teachers._combine import Average, check_stack, soft_target

Fusion = Literal["logits", "probabilities", "losses"]


def rule(average: Average = "logits") -> Rule:
    """FedDF's rule, see ``feddf``."""
    choose("average", average, get_args(Average))
    return Rule(fuse=lambda received: soft_target(received.answers, average=average), server=KL())


@method("feddf-probabilities", preset={"average": "probabilities"})
@method("feddf", family="federated", paper="Lin et al., NeurIPS 2020", arxiv="2006.07242", needs=("clients", "public"))
def feddf(
    problem: Problem,
    *,
    public: Any,
    rounds: int = 5,
    local_epochs: int = 40,
    distil_epochs: int = 200,
    average: Average = "logits",
) -> nn.Module:
    """Average weights by architecture, then distil all clients' mean answer into each average.

    Choose it for weights that may be sent, architectures that differ and unlabelled public rows; it converges in fewer
    rounds than FedAvg. ``average``: of "logits", the paper's, or "probabilities", their code's option: choose that
    where clients lack classes and architectures differ, since the logits of the most overfitted model, several times
    as large as others', else outweigh all. A round costs ``local_epochs`` a client and ``distil_epochs`` on ``public``
    an architecture. Gives the global model, of several architectures the clients' as one, with ``models``. The
    authors' local self-distillation is not here: their code throws its value away.
    """
    return federated(problem, rule(average), rounds, local_epochs, distil_epochs, public)


def clients_kl(
    student: Tensor,
    teachers: Tensor,
    temperature: float = 1.0,
    *,
    weights: Tensor | None = None,
    average: Fusion = "logits",
) -> Tensor:
    """Compute KL(clients || student) without T^2: (N, C), (K, N, C) -> scalar. Lin et al., NeurIPS 2020.

    ``average``: of the clients' "logits" (the authors' default), "probabilities", or of K "losses", one to each client.
    ``weights``: (K,), over their sum; equal by default. Mean over rows.
    """
    choose("average", average, get_args(Fusion))
    if average != "losses":
        target = soft_target(teachers, temperature, weights=weights, average=average)
        return kl(student, target, temperature, rescale=False)
    check_stack(teachers)
    shares = teachers.new_ones(teachers.size(0)) if weights is None else weights
    each = torch.stack([kl(student, teacher, temperature, rescale=False) for teacher in teachers])
    return (shares * each).sum() / shares.sum()
