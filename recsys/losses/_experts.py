"""Routed experts: predict a teacher's embeddings from a student's by a mixture of small networks (DE, part of HTD)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from recsys.losses._routed import routed
from recsys.losses._tables import Tables, Triplets, constant_tables

Noise = Mapping[str, Tensor]


def gumbel_like(x: Tensor) -> Tensor:
    """Draw independent standard Gumbel noise of the shape of ``x``."""
    # Uniform numbers in float64: those of float32 are too coarse for the smallest draws. Twice as fast as exponential_.
    race = torch.rand(x.shape, dtype=torch.float64, device=x.device).log_().neg_().to(x.dtype)
    return race.clamp_min_(torch.finfo(race.dtype).tiny).log_().neg_()  # infinite noise would become NaN


@dataclass(frozen=True)
class Annealing:
    """Lower a temperature geometrically from ``start`` to ``end`` over ``epochs``, None for all epochs of the run.

    tau = start (end / start)^(e / epochs). ``lag``: e is the epoch minus one, except in the first epoch, as in the
    authors' codes; else e is the epoch. Raises ValueError unless both ends are positive.

    Example::

        >>> [round(Annealing(1.0, 0.01, lag=False).at(epoch, epochs=2), 3) for epoch in range(3)]
        [1.0, 0.1, 0.01]
    """

    start: float = 1.0
    end: float = 1e-10
    epochs: int | None = None
    lag: bool = True

    def __post_init__(self) -> None:
        if min(self.start, self.end) <= 0:
            raise ValueError(f"'start' and 'end' must be positive, got {self.start} and {self.end}")

    def at(self, epoch: int, epochs: int) -> float:
        """Return the temperature of an epoch, counted from 0, of a run of ``epochs``."""
        done = max(epoch - 1, 0) if self.lag else epoch
        return self.start * (self.end / self.start) ** (done / max(self.epochs or epochs, 1))


FALLING = Annealing()


def route(gates: Tensor, temperature: float, noise: Tensor | None = None, eps: float = 0.0) -> Tensor:
    """softmax((log(softmax(gates) + eps) + noise) / temperature): (n, M) -> (n, M).

    ``noise`` (n, M) is Gumbel noise, drawn where None. A single expert gets weight 1, without noise.
    """
    if temperature <= 0:
        raise ValueError(f"'temperature' must be positive, got {temperature}")
    if gates.size(1) == 1:
        return torch.ones_like(gates, requires_grad=False)
    wide = gates.to(accumulation_dtype(gates))  # a share of 1e-10 is 0 in half precision, 1 / 1e-10 infinite
    # Without eps, the logarithm is the gate minus a constant of its row, which the outer softmax cancels.
    largest = wide.detach().amax(dim=1, keepdim=True)
    log_gates = wide - largest if eps == 0 else torch.log(wide.softmax(dim=1) + eps)
    noise = gumbel_like(wide) if noise is None else noise
    if noise.shape != gates.shape:
        raise ValueError(f"'noise' must have shape {tuple(gates.shape)}, got {tuple(noise.shape)}")
    return ((log_gates + noise) / temperature).softmax(dim=1).to(gates.dtype)


class RoutedExperts(nn.Module):
    """Route rows to M small networks d_s -> (d_s + d_t) // 2 -> d_t with ReLU, by a gate on the teacher's rows.

    The hidden width is d_s // 2 where d_s = d_t. ``gate_eps`` is added inside the logarithm, 1e-10 in the authors'
    code.

    Example::

        >>> experts = RoutedExperts(student_dim=3, teacher_dim=5, experts=4)
        >>> tuple(experts(torch.randn(2, 3), torch.randn(2, 5), temperature=1.0).shape)  # in the teacher's width
        (2, 5)
    """

    def __init__(self, student_dim: int, teacher_dim: int, experts: int = 30, *, gate_eps: float = 0.0) -> None:
        super().__init__()
        if min(student_dim, teacher_dim, experts) < 1:
            raise ValueError(f"widths and 'experts' must be positive, got {student_dim}, {teacher_dim}, {experts}")
        hidden = student_dim // 2 if student_dim == teacher_dim else (student_dim + teacher_dim) // 2
        self.widths, self.gate_eps = (student_dim, teacher_dim), gate_eps
        self.w1, self.b1 = stacked_linear(experts, hidden, student_dim)
        self.w2, self.b2 = stacked_linear(experts, teacher_dim, hidden)
        weight, bias = stacked_linear(1, experts, teacher_dim)
        self.gate_w, self.gate_b = nn.Parameter(weight[0].detach()), nn.Parameter(bias[0].detach())

    def gates(self, teacher: Tensor) -> Tensor:
        """Gate logits: (n, d_t) -> (n, M)."""
        if teacher.dim() != 2 or teacher.size(1) != self.widths[1]:
            raise ValueError(f"'teacher' must have the width {self.widths[1]}, got shape {tuple(teacher.shape)}")
        return F.linear(teacher, self.gate_w, self.gate_b)

    @torch.no_grad()
    def assign(self, teacher: Tensor) -> Tensor:
        """Choose the expert of each row, without noise: (n, d_t) -> (n,)."""
        return self.gates(teacher).argmax(dim=1)

    def forward(self, student: Tensor, teacher: Tensor, temperature: float, noise: Tensor | None = None) -> Tensor:
        """Reconstruct the teacher's rows from the student's: (n, d_s), (n, d_t) -> (n, d_t)."""
        if (student.size(1), teacher.size(1)) != self.widths:
            got = (student.size(1), teacher.size(1))
            raise ValueError(f"'student' and 'teacher' must have the widths {self.widths}, got {got}")
        z = route(self.gates(teacher), temperature, noise, self.gate_eps)
        return routed(student, z, self.w1, self.b1, self.w2, self.b2)

    def errors(
        self,
        student: Tensor,
        teacher: Tensor,
        temperature: float,
        noise: Tensor | None = None,
        *,
        squared: bool = True,
    ) -> Tensor:
        """Compute the squared norm, or the norm, of each row's reconstruction error: (n,)."""
        missed = teacher - self(student, teacher, temperature, noise)
        missed = missed.to(accumulation_dtype(missed))
        return missed.square().sum(dim=1) if squared else torch.linalg.vector_norm(missed, dim=1)

    def noise(self, rows: int) -> Tensor:
        """Draw Gumbel noise: (rows, M)."""
        return gumbel_like(self.gate_b.new_empty(rows, len(self.gate_b), dtype=accumulation_dtype(self.gate_b)))


def stacked_linear(count: int, rows: int, columns: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Make a stack of linear maps, initialised like ``torch.nn.Linear``."""
    bound = 1 / math.sqrt(max(columns, 1))
    weight, bias = (torch.empty(count, *shape).uniform_(-bound, bound) for shape in ((rows, columns), (rows,)))
    return nn.Parameter(weight), nn.Parameter(bias)


class RoutedLoss(Loss):
    """Common parts of DE and HTD: experts of users and of items, a temperature, and the batch entries they read."""

    on = ("user", "item")

    def __init__(
        self,
        users: RoutedExperts,
        items: RoutedExperts,
        temperature: float | Annealing,
        on: tuple[str, str] | None,
    ) -> None:
        super().__init__(on=on)
        self.users, self.items = users, items
        self.schedule = temperature if isinstance(temperature, Annealing) else Annealing(temperature, temperature)
        self.temperature = self.schedule.start

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Set the temperature of this epoch."""
        self.temperature = self.schedule.at(epoch, epochs)

    def terms(self, student: Tables, teacher: Tables, batch: Triplets, noise: Noise) -> tuple[Tensor, ...]:
        """Compute the parts of the loss, before their weights."""
        raise NotImplementedError

    def total(self, terms: tuple[Tensor, ...]) -> Tensor:
        """The weighted sum of ``terms``."""
        raise NotImplementedError

    def forward(
        self,
        student: Tables,
        teacher: Tables,
        *,
        users: Tensor,
        positives: Tensor,
        negatives: Tensor,
        gumbel: Noise | None = None,
    ) -> Tensor:
        """See the class."""
        teacher = constant_tables(teacher, student)
        return self.total(self.terms(student, teacher, Triplets(users, positives, negatives), gumbel or {}))
