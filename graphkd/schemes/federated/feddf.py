"""FedDF: ensemble distillation of clients' models into the global ones.

Lin, Kong, Stich and Jaggi, "Ensemble Distillation for Robust Model Fusion in Federated Learning", NeurIPS 2020,
arXiv:2006.07242.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import choose
from graphkd.losses.response.kd import KL, kl
from graphkd.schemes._ramps import cosine_rampdown
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.rule import Received, Rule
from graphkd.schemes.teachers._combine import Average, check_stack, soft_target

Fusion = Literal["logits", "probabilities", "losses"]


def rule(average: Average = "logits") -> Rule:
    """Make FedDF's rule, see ``feddf``."""
    choose("average", average, get_args(Average))

    def fused(received: Received) -> Tensor:
        return soft_target(received.answers, average=average)

    return Rule(fuse=fused, server=KL(), recipe=recipe)


def recipe(epochs: int) -> dict[str, Any]:
    """Return FedDF's options of ``fit`` for the server: Adam at 1e-3, to 0 by a cosine, with gradients clipped."""
    share = partial(cosine_rampdown, length=epochs)
    return {"lr": 1e-3, "scheduler": partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=share), "clip": 5.0}


@method("feddf-probabilities", preset={"average": "probabilities"})
@method(
    "feddf",
    family="federated",
    paper="Lin et al., NeurIPS 2020",
    arxiv="2006.07242",
    survey=(108,),
    needs=("clients", "public"),
)
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

    Choose it where weights may be sent, architectures differ and public rows are unlabelled; it converges in fewer
    rounds than FedAvg. ``public``: one batch of rows that all see. ``average``: of "logits", the paper's, or of
    "probabilities", an option of the authors' code. Choose "probabilities" where clients lack classes and architectures
    differ: the most overfitted model, with logits several times as large as others', would otherwise outweigh all. The
    server trains with the paper's options, see ``recipe``; its early stop, after 1,000 steps without a gain on labelled
    rows of the server's, is never reached in our fewer steps. A round costs each client ``local_epochs`` on its data,
    and the server ``distil_epochs`` on ``public`` per architecture. Returns the global model, or for several
    architectures the clients' models as one, ``Together``, with ``models``. The authors' local self-distillation is
    left out: their code discards its value.
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

    ``average``: of the clients' "logits" (the authors' default), "probabilities", or of K "losses", one per client.
    ``weights``: (K,), divided by their sum; equal by default. Mean over rows.
    """
    choose("average", average, get_args(Fusion))
    if average != "losses":
        target = soft_target(teachers, temperature, weights=weights, average=average)
        return kl(student, target, temperature, rescale=False)
    check_stack(teachers)
    shares = teachers.new_ones(teachers.size(0)) if weights is None else weights
    each = torch.stack([kl(student, teacher, temperature, rescale=False) for teacher in teachers])
    return (shares * each).sum() / shares.sum()
