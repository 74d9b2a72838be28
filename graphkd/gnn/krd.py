"""KRD: an MLP learns from neighbours whose soft labels are reliable.

Wu, Lin, Huang and Li, "Quantifying the Knowledge in GNNs for Reliable Distillation into MLPs", ICML 2023,
arXiv:2306.05628.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import changed
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.models import shown
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call
from graphkd.gnn._edge_taught import EdgeTaught
from graphkd.gnn._unstored import unstored
from graphkd.gnn.glnn import student_or_mlp
from graphkd.losses.graphs.neighbour_kl import EdgeTargets, entropy

LEAST_POWER = 1e-3  # with smaller ones no node would teach


@method(
    "krd",
    family="gnn",
    paper="Wu et al., ICML 2023",
    arxiv="2306.05628",
    needs=("edges",),
    published={"epochs": 500, "patience": 50},
    student=False,
    space={"label_weight": (0.003, 0.99), "temperature": (0.3, 3.0), "momentum": (0.5, 0.999)},
)
def krd_method(
    problem: Problem,
    *,
    label_weight: float = 0.5,
    temperature: float = 0.8,
    power: float = 1.0,
    momentum: float = 0.99,
    bins: int = 50,
    warmup: int = 49,
    noise: float = 1.0,
    layers: int | None = None,
    width: int | None = None,
    dropout: float | None = None,
) -> nn.Module:
    """Let reliable neighbours teach too; choose it over GLNN where neighbours are mostly of one class.

    lambda CE(labelled) + (1 - lambda) mean over drawn edges (i, j), and a loop at every node, of
    KL(softmax(t_j / T) || softmax(s_i / T)), lambda = ``label_weight``, T = ``temperature``, by default those published
    for a GCN on Cora. A node is reliable if the teacher's entropy hardly changes when normal noise of standard
    deviation ``noise`` is added to the features: delta, see ``reliability``. An edge is drawn with probability
    1 - delta_j^a. The power a begins as ``power``; in every epoch it is fitted to how often student and teacher agree
    in each of ``bins`` bins of delta, see ``fitted_power``, and averaged with its old value, whose weight is
    ``momentum``. The first ``warmup`` epochs take all edges (authors: 49, for a GCN 50); if there are no more epochs,
    none is drawn. i is the source of an edge, j its target, as in ``low_frequency``. layers, width, dropout: hidden
    layers of the MLP that is made if no student is given, by default 2, 1024 and 0.3. Costs one pass of the teacher on
    noisy features, then a further pass of the student in eval mode and one sparse product O(E C) a step.

    Differs from the authors' code in this: on ogbn-arxiv theirs draws edges only every tenth epoch; theirs stops with
    an error if student and teacher agree equally often in all bins, here the power stays; here the power is 0.001 at
    least and probabilities are within [0, 1]. Their noise has deviation 1 whatever the scale of the features, as here
    by default. With a loader every batch is treated as an epoch: its nodes fit the power, and only its edges are drawn.
    """
    student = student_or_mlp(problem, (layers, width, dropout), (2, 1024, 0.3))
    delta = problem.once("reliability", lambda: _reliability_of(problem, noise))
    options: dict[str, Any] = {"label_weight": label_weight, "temperature": temperature, "power": power}
    options |= {"momentum": momentum, "bins": bins, "warmup": warmup, "call": problem.call_of(student)}
    trainable = KRD(student, problem.teacher, problem.supervised(), **options)
    return problem.train(trainable, "student", problem.with_values(entropy_change=delta))


def _reliability_of(problem: Problem, noise: float) -> Tensor:
    """Compute the ``reliability`` of the teacher on the data."""
    clean = problem.view_of(problem.teacher)
    with shown(unstored(problem.teacher)) as show:
        noisy = problem.gather(lambda batch: show(changed(batch, x=_noisy(batch["x"], noise)))["logits"])
    return reliability(clean, noisy)


def _noisy(x: Tensor, deviation: float) -> Tensor:
    dense = x if x.layout == torch.strided else x.to_dense()
    return dense + deviation * torch.randn_like(dense)


def reliability(clean: Tensor, noisy: Tensor) -> Tensor:
    """Delta = |H(t_i) - H(noisy t_i)| / max_i, how far noise moves each answer's entropy: (N, C), (N, C) -> (N,).

    In [0, 1], 0 for the most reliable node; 0 everywhere if no entropy changes.
    """
    change = (entropy(clean) - entropy(noisy)).abs()
    return change / change.max().clamp_min(torch.finfo(change.dtype).tiny)


def teaching_chance(delta: Tensor, power: float | Tensor) -> Tensor:
    """1 - delta^a, the chance that a node teaches its neighbours: (N,) -> (N,)."""
    return (1 - delta**power).clamp(0, 1)


def agreement_rates(delta: Tensor, agree: Tensor, bins: int = 50, offset: float = 0.05) -> tuple[Tensor, Tensor]:
    """Count how often two models agree, by reliability: (N,), (N,) bool -> abscissae and rates of the bins, (B,) each.

    Rates are scaled to [0, 1], unless all are equal. An empty bin has rate 0 before scaling. offset: distance of an
    abscissa from its bin's left end; the authors' 0.05 is half a bin only for 10 bins.
    """
    place = (delta * bins).long().clamp(0, bins - 1)
    counts = torch.stack([torch.bincount(place, agree.to(delta.dtype), bins), torch.bincount(place, minlength=bins)])
    rates = counts[0] / (counts[1] + 1e-6)
    spread = rates.max() - rates.min()
    left = torch.arange(bins, dtype=delta.dtype, device=delta.device) / bins
    return left + offset, (rates - rates.min()) / spread if spread > 0 else rates.to(delta.dtype)


def fitted_power(x: Tensor, y: Tensor, start: float, steps: int = 100) -> float:
    """argmin_a sum_b (y_b - (1 - x_b^a))^2 from ``start`` by damped Gauss-Newton steps: (B,), (B,) -> a.

    Returns ``start`` if all y are equal, which does not determine a; otherwise 0.001 at least.
    """
    x, y, a, damping = x.double(), y.double(), float(start), 1e-3
    if not bool((y != y[0]).any()):
        return a

    def error(power: float) -> float:
        return float((y - 1 + x**power).square().sum())

    for _ in range(steps):
        slope = x**a * x.log()
        residual = y - 1 + x**a
        step = -float(slope @ residual) / (float(slope @ slope) * (1 + damping) + 1e-30)
        other = max(a + step, LEAST_POWER)
        better = error(other) <= error(a)
        moved, a = abs(other - a), other if better else a
        damping = damping / 10 if better else damping * 10
        if moved < 1e-10 * a:
            break
    return a


class KRD(EdgeTaught):
    """KRD on batches with ``edge_index`` and ``entropy_change`` (N,), the ``reliability`` of its nodes; see ``krd``."""

    power: Tensor

    def __init__(
        self,
        student: nn.Module,
        teacher: Frozen,
        label: Loss,
        *,
        label_weight: float = 0.5,
        temperature: float = 0.8,
        power: float = 1.0,
        momentum: float = 0.99,
        bins: int = 50,
        warmup: int = 49,
        call: Call | None = None,
    ) -> None:
        super().__init__(student, teacher, label, label_weight=label_weight, temperature=temperature, call=call)
        if not 0 <= momentum <= 1 or bins < 1 or not power > 0:
            raise ValueError(
                f"'momentum' must be in [0, 1], 'bins' at least 1 and 'power' positive, got {momentum}, {bins}, {power}"
            )
        self.momentum, self.bins, self.warmup = momentum, bins, warmup
        self.register_buffer("power", torch.tensor(float(power)))

    def targets(self, batch: Batch, taught: Tensor, edge_index: Tensor) -> EdgeTargets:
        """Compute soft labels of the drawn neighbours, during warm-up of all neighbours."""
        options: dict[str, Any] = {"temperature": self.temperature, "loops": 1.0}
        if self.epoch < self.warmup:
            return EdgeTargets.of(taught, edge_index, **options)
        delta = batch["entropy_change"]
        self._fit(delta, self.answers(batch).argmax(dim=1) == taught.argmax(dim=1))
        drawn = teaching_chance(delta, float(self.power))[edge_index[1]].bernoulli()
        return EdgeTargets.of(taught, edge_index, drawn, total=drawn.sum() + taught.size(0), **options)

    def _fit(self, delta: Tensor, agree: Tensor) -> None:
        power = float(self.power)
        fitted = fitted_power(*agreement_rates(delta, agree, self.bins), power)
        self.power.fill_(self.momentum * power + (1 - self.momentum) * fitted)
