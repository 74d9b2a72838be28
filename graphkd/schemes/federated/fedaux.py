"""FedAUX: clients are weighted by how certain they are about each public row.

Sattler, Korjakow, Rischke and Samek, "FedAUX: Leveraging Unlabeled Auxiliary Data in Federated Learning", TNNLS 2021,
arXiv:2102.02514.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.view import Batch
from graphkd.losses.response.kd import KL
from graphkd.schemes.federated._checks import Entry, Reference
from graphkd.schemes.federated._messages import Message, stack
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.client import Client
from graphkd.schemes.federated.rule import Limits, Received, Rule
from graphkd.schemes.teachers._combine import soft_target

_EPS = 1e-8  # the authors', on every score


def rule() -> Rule:
    """FedAUX's rule, see ``fedaux``."""
    return Rule(fuse=_weighted, server=KL(), tell=_certainty, tells=_tells)


@method(
    "fedaux", family="federated", paper="Sattler et al., TNNLS 2021", arxiv="2102.02514", needs=("clients", "public")
)
def fedaux(
    problem: Problem, *, public: Any, rounds: int = 5, local_epochs: int = 40, distil_epochs: int = 200
) -> nn.Module:
    """Average weights by architecture, then distil clients' answers into each average, weighted row by row.

    Choose it over FedDF where clients' inputs differ, and each knows about another part of the public rows: a client
    counts by its ``certainty`` that a row is like its own. Certainties are of the features ``x`` themselves, without
    the pretrained extractor, and without noise: they are not private. Made once, they cost O((N + M) F^2 + F^3) a step
    of Newton's method for F features; a round costs what FedDF's does. Gives what FedDF gives.
    """
    return federated(problem, rule(), rounds, local_epochs, distil_epochs, public)


def _weighted(received: Received) -> Tensor:
    weights = stack(received.messages, "certainty").to(received.answers.device)
    return soft_target(received.answers, weights=weights, average="logits")


def _tells(limits: Limits) -> Reference:
    return {"certainty": Entry((limits.rows,), low=0.0, high=1 + 1e-6)}


def _certainty(client: Client, public: Batch | None) -> Message:
    assert public is not None
    x = public["x"]
    return {"certainty": certainty(client.rows(lambda batch: batch["x"]).to(x.device), x).scores(x)}


def gaussian_noise_std(rows: int, regularisation: float = 0.01, epsilon: float = 0.1, delta: float = 1e-5) -> float:
    """Compute the noise's standard deviation on weights, sqrt(2 ln(1.25 / delta)) s / epsilon, s = 2 / (rows lambda).

    The authors' sensitivity s holds for a mean of losses plus (lambda / 2) |w|^2; their code, and ``certainty``,
    minimise a sum of losses over lambda plus |w|^2 / 2: derive it anew before you claim privacy.
    """
    return math.sqrt(2 * math.log(1.25 / delta)) * 2 / (rows * regularisation) / epsilon


@dataclass(frozen=True)
class Certainty:
    """A logistic regression of public rows (1) against own ones (0), on features over ``scale``."""

    weight: Tensor
    bias: Tensor
    scale: Tensor

    def noised(self, weight: Tensor, bias: Tensor, std: float) -> Certainty:
        """With standard normal noise times ``std`` on the weights and the bias: what a client publishes."""
        return Certainty(self.weight + std * weight, self.bias + std * bias, self.scale)

    def scores(self, features: Tensor) -> Tensor:
        """The probability that a row is the client's, plus 1e-8: (N, d) -> (N,), a weight of ``soft_target``."""
        return (-(features / self.scale @ self.weight + self.bias)).sigmoid() + _EPS


def certainty(local: Tensor, public: Tensor, regularisation: float = 0.01) -> Certainty:
    """Tell a client's rows from public ones: (N, d), (M, d). Sattler et al., TNNLS 2021, arXiv:2102.02514 (FedAUX).

    Minimises (1 / lambda) sum_i log(1 + exp(-y_i (w . x_i + b))) + |w|^2 / 2 over rows divided by the largest norm
    among both, by Newton's method, in float64: what scikit-learn's LogisticRegression(C=1 / lambda) does.
    """
    if local.dim() != 2 or public.dim() != 2 or local.size(1) != public.size(1):
        raise ValueError(f"'public' must be as wide as 'local', got {tuple(local.shape)} and {tuple(public.shape)}")
    if not len(local) or not len(public):
        raise ValueError(f"'local' and 'public' must have a row each, got {len(local)} and {len(public)}")
    x = torch.cat([local, public]).double()
    scale = torch.linalg.vector_norm(x, dim=1).amax().clamp_min(torch.finfo(x.dtype).tiny)
    x = torch.cat([x / scale, x.new_ones(len(x), 1)], dim=1)
    ridge = torch.cat([x.new_ones(x.size(1) - 1), x.new_zeros(1)])
    y = (torch.arange(len(x), device=x.device) >= len(local)).to(x.dtype)

    def objective(w: Tensor) -> Tensor:
        z = x @ w
        return (F.softplus(z) - y * z).sum() / regularisation + (ridge * w * w).sum() / 2

    w = x.new_zeros(x.size(1))
    for _ in range(100):
        p = (x @ w).sigmoid()
        gradient = x.t() @ (p - y) / regularisation + ridge * w
        hessian = (x.t() * (p * (1 - p))) @ x / regularisation + ridge.diag()
        step = torch.linalg.solve(hessian, gradient)
        size, here = 1.0, objective(w)
        while size > 0.5**30 and objective(w - size * step) > here:
            size /= 2
        w = w - size * step
        if float(step.abs().max()) < 1e-14:
            break
    w = w.to(local.dtype)
    return Certainty(w[:-1], w[-1:], scale.to(local.dtype))
