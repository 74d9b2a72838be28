"""FedBE: a Bayesian ensemble of models around those of clients, distilled into their average.

Chen and Chao, "FedBE: Making Bayesian Model Ensemble Applicable to Federated Learning", ICLR 2021, arXiv:2009.01974.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.response.kd import KL
from graphkd.schemes.federated._averaging import cyclic
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.aggregate import State, check_states
from graphkd.schemes.federated.rule import Cycles, Rule
from graphkd.schemes.teachers._combine import soft_target

_HIGH, _LOW = 1e-3, 4e-4  # the authors' rates
_CYCLE = Cycles(25, 1 / 3)  # of about 1,500 steps they average those after the first 500


def rule(samples: int = 10) -> Rule:
    """Make FedBE's rule, see ``fedbe``."""

    def drawn(base: State, states: Sequence[State], generator: torch.Generator) -> list[State]:
        def noise() -> State:
            return {name: torch.randn(tensor.shape, generator=generator).to(tensor) for name, tensor in base.items()}

        return [sample_state(base, states, noise()) for _ in range(samples)]

    def recipe(_: int) -> dict[str, Any]:
        return {"lr": _HIGH, "scheduler": cyclic(_CYCLE.epochs, _HIGH, _LOW)}

    loss = KL(reduction="elementmean")
    return Rule(fuse=lambda got: soft_target(got.answers), server=loss, recipe=recipe, cycles=_CYCLE, further=drawn)


@method(
    "fedbe",
    family="federated",
    paper="Chen and Chao, ICLR 2021",
    arxiv="2009.01974",
    survey=(110,),
    needs=("clients", "public"),
)
def fedbe(
    problem: Problem,
    *,
    public: Any,
    rounds: int = 5,
    local_epochs: int = 40,
    distil_epochs: int = 200,
    samples: int = 10,
) -> nn.Module:
    """Distil clients, their average, and models drawn around them into the average.

    Choose it over FedDF for one architecture and few clients: more teachers make a steadier target. ``public``: one
    batch of rows that all see. ``samples``: how many models are drawn, see ``sample_state``. A round costs each client
    ``local_epochs`` on its data, and the server ``distil_epochs`` on ``public`` and one forward pass of each model.
    Returns the global model. As in the authors' code the server's learning rate falls from 1e-3 to 4e-4 in cycles of 25
    epochs, and its weights are averaged over the ends of cycles after a third of the epochs (SWA); ours uses Adam in
    place of their SGD, which needs many more steps at these rates.
    """
    return federated(problem, rule(samples), rounds, local_epochs, distil_epochs, public)


def sample_state(
    base: State,
    states: Sequence[State],
    noise: State,
    *,
    variance_scale: float = 0.1,
    step: float = 1.0,
    least_variance: float = 1e-5,
) -> dict[str, Tensor]:
    """Draw a global model around what clients sent. Chen and Chao, ICLR 2021, arXiv:2009.01974 (FedBE).

    With u_k = (w_k - base) / |w_k - base| of every parameter tensor, m and v the mean and the variance of the u_k:
    base + step mean_k |w_k - base| (m + variance_scale sqrt(max(v, least_variance)) noise), the authors' code; the
    paper has a plain diagonal Gaussian of the w_k. ``noise``: standard normal, of the shapes of ``base``. A tensor that
    no client changed stays; integers are the base's.
    """

    def drawn(name: str, first: Tensor) -> Tensor:
        if not first.is_floating_point():
            return first.clone()
        updates = torch.stack([state[name] - first for state in states])
        norms = torch.linalg.vector_norm(updates.flatten(1), dim=1)
        rows = (-1, *[1] * first.dim())
        directions = updates / norms.clamp_min(torch.finfo(norms.dtype).tiny).reshape(rows)
        mean = directions.mean(dim=0)
        variance = (directions.square().mean(dim=0) - mean.square()).clamp_min(least_variance)
        return first + step * norms.mean() * (mean + variance_scale * variance.sqrt() * noise[name])

    check_states(states, base)
    return {name: drawn(name, first) for name, first in base.items()}
