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
from graphkd.core.models import shown
from graphkd.core.problem import Problem
from graphkd.core.view import Batch, Call
from graphkd.losses.response.kd import KL
from graphkd.schemes.federated._checks import Entry, Reference
from graphkd.schemes.federated._messages import Message, stack
from graphkd.schemes.federated._pretraining import Contrast
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.client import Client
from graphkd.schemes.federated.feddf import recipe
from graphkd.schemes.federated.rule import Limits, Received, Refinement, Rule
from graphkd.schemes.teachers._combine import soft_target

_EPS = 1e-8  # the authors', on every score
_STEP = 1e-9  # of the largest weight


def rule(
    pretrain_epochs: int = 0,
    epsilon: float | None = None,
    delta: float = 1e-5,
    regularisation: float = 0.01,
    path: str | None = None,
) -> Rule:
    """Make FedAUX's rule, see ``fedaux``; path: of the hidden layer that is pretrained and compared, None for ``x``.

    Noise is drawn from torch's global generator.
    """

    def pretrain(model: nn.Module, public: Batch | None, call: Call | None) -> Refinement:
        return Refinement(Contrast(model, call, path), public, {"epochs": pretrain_epochs})

    def tell(client: Client, public: Batch | None) -> Message:
        assert public is not None
        with shown(client.model, client.call, path) as show:

            def features(batch: Any) -> Tensor:
                found: Tensor = batch["x"] if path is None else show(batch)["hidden"]
                return found

            own, known = client.rows(features), features(public)
        if epsilon is None:
            found = certainty(own.to(known.device), known, regularisation)
        else:
            found = private_certainty(own.to(known.device), known, regularisation, epsilon=epsilon, delta=delta)
        return {"certainty": found.scores(known)}

    begin = pretrain if pretrain_epochs else None
    return Rule(fuse=_weighted, server=KL(), recipe=recipe, pretrain=begin, tell=tell, tells=_tells)


@method(
    "fedaux",
    family="federated",
    paper="Sattler et al., TNNLS 2021",
    arxiv="2102.02514",
    survey=(109,),
    needs=("clients", "public"),
)
def fedaux(
    problem: Problem,
    *,
    public: Any,
    rounds: int = 5,
    local_epochs: int = 40,
    distil_epochs: int = 200,
    pretrain_epochs: int = 0,
    epsilon: float | None = None,
    delta: float = 1e-5,
    regularisation: float = 0.01,
) -> nn.Module:
    """Average weights by architecture, then distil clients' answers into each average, weighted row by row.

    Choose it over FedDF where clients' inputs differ and each knows another part of the public rows: a client's answer
    to a row is weighted by its ``certainty`` that the row is like its own. ``public``: one batch of rows that all see.
    ``pretrain_epochs``: epochs of ``Contrast`` on public rows, without labels, before the first round, a number that
    the paper leaves open; 0 by default, as Cora's validation nodes chose (78.2 against 76.2 % with 200, three seeds of
    its CPF split). Certainties are computed on the layer given as ``hidden``, pretrained if asked for, else on the
    features ``x``. ``epsilon``, ``delta``: privacy of the certainties, see ``private_certainty``. The paper has 0.1 and
    1e-5 over some 50,000 rows; with a fiftieth of the rows only the noise would be left, so by default certainties are
    exact, and not private. The server trains as FedDF's. Certainties are computed once, in O((N + M) F^2 + F^3) per
    step of Newton's method for F features; a round costs what FedDF's does. Returns what FedDF returns.
    """
    made = rule(pretrain_epochs, epsilon, delta, regularisation, problem.hidden[0])
    return federated(problem, made, rounds, local_epochs, distil_epochs, public)


def _weighted(received: Received) -> Tensor:
    weights = stack(received.messages, "certainty").to(received.answers.device)
    return soft_target(received.answers, weights=weights, average="logits")


def _tells(limits: Limits) -> Reference:
    return {"certainty": Entry((limits.rows,), low=0.0, high=1 + 1e-6)}


def gaussian_noise_std(rows: int, regularisation: float = 0.01, epsilon: float = 0.1, delta: float = 1e-5) -> float:
    """Compute the noise's standard deviation on weights, sqrt(2 ln(1.25 / delta)) s / epsilon, s = 2 / (rows lambda).

    The authors' sensitivity s holds for a mean of losses plus (lambda / 2) |w|^2, as in ``private_certainty``. It does
    not hold for their code and ``certainty``, which minimise a sum of losses over lambda plus |w|^2 / 2.
    """
    return math.sqrt(2 * math.log(1.25 / delta)) * 2 / (rows * regularisation) / epsilon


@dataclass(frozen=True)
class Certainty:
    """Logistic regression of public rows (1) against own ones (0), on features over ``scale``."""

    weight: Tensor
    bias: Tensor
    scale: Tensor

    def noised(self, weight: Tensor, bias: Tensor, std: float) -> Certainty:
        """Add standard normal noise times ``std`` to the weights and the bias, which a client publishes."""
        return Certainty(self.weight + std * weight, self.bias + std * bias, self.scale)

    def scores(self, features: Tensor) -> Tensor:
        """Compute the probability that a row is the client's, plus 1e-8: (N, d) -> (N,), weights of ``soft_target``."""
        return (-(features / self.scale @ self.weight + self.bias)).sigmoid() + _EPS


def certainty(local: Tensor, public: Tensor, regularisation: float = 0.01) -> Certainty:
    """Tell a client's rows from public ones: (N, d), (M, d). Sattler et al., TNNLS 2021, arXiv:2102.02514 (FedAUX).

    Minimises (1 / lambda) sum_i log(1 + exp(-y_i (w . x_i + b))) + |w|^2 / 2 over rows divided by the largest norm
    among both, by Newton's method, in float64, as scikit-learn's LogisticRegression(C=1 / lambda) does; lambda is
    ``regularisation``. Raises ValueError for rows of different widths, or without rows.
    """
    _check_rows(local, public)
    x = torch.cat([local, public]).double()
    scale = _largest(x)
    w = _logistic(x / scale, len(local), regularisation, x.new_zeros(1)).to(local.dtype)
    return Certainty(w[:-1], w[-1:], scale.to(local.dtype))


def private_certainty(
    local: Tensor,
    public: Tensor,
    regularisation: float = 0.01,
    *,
    epsilon: float,
    delta: float = 1e-5,
    generator: torch.Generator | None = None,
) -> Certainty:
    """Tell a client's rows from public ones, (epsilon, delta)-privately for each own row: (N, d), (M, d).

    Unlike ``certainty`` it meets the conditions of the authors' noise (normal, sqrt(2) times ``gaussian_noise_std`` for
    each weight): the loss is a mean over the rows, the bias is regularised as the weights are, and rows are shortened
    to the scale, the largest norm among public rows. Two clients that differ in a row then have weights and biases at
    most 2 sqrt(2) / (rows lambda) apart (rows and their constant 1 have norms up to sqrt(2); Chaudhuri et al., JMLR
    2011, arXiv:0912.0071), and the Gaussian mechanism holds for ``epsilon`` up to 1. Noise is drawn from ``generator``,
    by default torch's. Raises ValueError for an ``epsilon`` outside (0, 1] or a ``delta`` outside (0, 1).
    """
    _check_rows(local, public)
    if not 0 < epsilon <= 1 or not 0 < delta < 1:
        raise ValueError(f"'epsilon' must be in (0, 1] and 'delta' in (0, 1), got {epsilon} and {delta}")
    known = public.double()
    scale = _largest(known)
    own = local.double() / scale
    own = own / torch.linalg.vector_norm(own, dim=1, keepdim=True).clamp_min(1)
    rows = len(local) + len(public)
    w = _logistic(torch.cat([own, known / scale]), len(local), rows * regularisation, own.new_ones(1))
    noise = torch.randn(w.shape, generator=generator, dtype=w.dtype).to(w.device)
    std = math.sqrt(2) * gaussian_noise_std(rows, regularisation, epsilon, delta)
    return Certainty(w[:-1].to(local), w[-1:].to(local), scale.to(local)).noised(
        noise[:-1].to(local), noise[-1:].to(local), std
    )


def _check_rows(local: Tensor, public: Tensor) -> None:
    if local.dim() != 2 or public.dim() != 2 or local.size(1) != public.size(1):
        raise ValueError(f"'public' must be as wide as 'local', got {tuple(local.shape)} and {tuple(public.shape)}")
    if not len(local) or not len(public):
        raise ValueError(f"'local' and 'public' must have a row each, got {len(local)} and {len(public)}")


def _largest(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=1).amax().clamp_min(torch.finfo(x.dtype).tiny)


def _logistic(x: Tensor, own: int, regularisation: float, on_bias: Tensor) -> Tensor:
    """Fit weights and bias, (d + 1,), by the logistic losses over ``regularisation`` plus half the squares.

    The first ``own`` rows have label 0, the others 1; ``on_bias``: (1,), the weight of the bias's square.
    """
    x = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    ridge = torch.cat([x.new_ones(x.size(1) - 1), on_bias])
    y = (torch.arange(len(x), device=x.device) >= own).to(x.dtype)

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
        if float(step.abs().max()) < _STEP * max(float(w.abs().max()), 1):
            break  # steps shrink quadratically: the next would be rounding error alone
    return w
