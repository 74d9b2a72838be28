"""FedFTG: the averaged model is refined on generated rows, so that the server needs no public ones.

Zhang, Shen, Ding, Tao and Duan, "Fine-tuning Global Model via Data-Free Knowledge Distillation for Non-IID Federated
Learning", CVPR 2022, arXiv:2203.09249.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.method import method
from graphkd.core.models import reset_parameters
from graphkd.core.modes import evaluating
from graphkd.core.problem import Problem
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, Viewer
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape
from graphkd.losses.response.ce import cross_entropy
from graphkd.schemes._functional import constant_logits
from graphkd.schemes.federated._checks import Entry, Reference
from graphkd.schemes.federated._messages import Message, stack
from graphkd.schemes.federated._rounds import federated
from graphkd.schemes.federated.client import Client
from graphkd.schemes.federated.rule import Limits, Refinement, Rule
from graphkd.schemes.teachers._combine import check_stack

_GENERATOR, _STUDENT = {"learner": "generator"}, {"learner": "student"}  # batches: whose step it is


def rule(
    noise: int = 32, rows: int = 64, steps: int = 10, generator_steps: int = 1, student_steps: int = 5, lr: float = 1e-3
) -> Rule:
    """Make FedFTG's rule, see ``fedftg``."""

    def refine(
        student: nn.Module, teachers: Sequence[nn.Module], messages: Sequence[Message], call: Call | None
    ) -> Refinement:
        like = next(student.parameters())
        counts = stack(messages, "counts").to(like.device)
        generator = Generator(noise, counts.size(1), *_pooled(messages)).to(like)
        adversaries = Adversaries(student, teachers, generator, counts, rows, call)
        turns = [_GENERATOR] * generator_steps + [_STUDENT] * student_steps
        return Refinement(adversaries, turns, {"epochs": steps, "lr": lr})

    return Rule(refine=refine, tell=_counts, tells=_tells)


@method(
    "fedftg", family="federated", paper="Zhang et al., CVPR 2022", arxiv="2203.09249", survey=(115,), needs=("clients",)
)
def fedftg(
    problem: Problem,
    *,
    rounds: int = 5,
    local_epochs: int = 40,
    noise: int = 32,
    rows: int = 64,
    steps: int = 10,
    generator_steps: int = 1,
    student_steps: int = 5,
    lr: float = 1e-3,
) -> nn.Module:
    """Average clients' weights, and refine the average on rows that a generator makes to be hard.

    Choose it where labels are skewed and there are no public rows. Besides weights, clients send their number of rows
    of each class, and mean and deviation of each feature, so that fake rows have the scale of theirs (the paper's
    images come normalised). In every round a new generator, with noise of width ``noise``, and the global model play
    ``steps`` games (epochs). In each, ``rows`` classes are drawn from the pooled counts; ``generator_steps`` steps
    lower the sum of ``fedftg_generator`` over clients, then ``student_steps`` steps lower ``fedftg_student``; all by
    Adam at ``lr``. On graphs a fake row has no edges: a model that needs neighbours learns less from it. A game costs
    ``generator_steps`` + 1 passes of every client's model over ``rows`` rows. Returns the global model.
    """
    return federated(problem, rule(noise, rows, steps, generator_steps, student_steps, lr), rounds, local_epochs)


def _counts(client: Client, _: Batch | None) -> Message:
    x = client.rows(lambda batch: batch["x"])
    own = {"mean": x.mean(dim=0), "deviation": x.std(dim=0, correction=0)}
    return {"counts": torch.bincount(client.labels, minlength=client.classes), **own}


def _tells(limits: Limits) -> Reference:
    bound = limits.max_value
    own = {"mean": Entry((None,), low=-bound, high=bound), "deviation": Entry((None,), low=0.0, high=bound)}
    return {"counts": Entry((None,), torch.int64, 0, limits.max_size, "max_size"), **own}


def _pooled(messages: Sequence[Message]) -> tuple[Tensor, Tensor]:
    """Pool mean and deviation of each feature over the rows of all clients, (d,)."""
    shares = stack(messages, "size").double()
    means, deviations = (stack(messages, name).double() for name in ("mean", "deviation"))
    shares = (shares / shares.sum())[:, None].to(means.device)
    mean = (shares * means).sum(dim=0)
    return mean, (shares * (deviations.square() + (means - mean).square())).sum(dim=0).sqrt()


class Generator(nn.Module):
    """Generator of rows from noise and a class, by one hidden layer, standardised over a batch and brought to a scale.

    mean, deviation: that scale, of each feature, (d,). They are constant, so that no parameter can change it.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, noise: int, classes: int, mean: Tensor, deviation: Tensor, hidden: int = 64) -> None:
        super().__init__()
        self.noise, self.classes, features = noise, classes, mean.numel()
        self.layers = nn.Sequential(nn.Linear(noise + classes, hidden), nn.ReLU(), nn.Linear(hidden, features))
        self.norm = nn.BatchNorm1d(features, affine=False)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, noise: Tensor, y: Tensor) -> Tensor:
        """Generate rows: (N, m), (N,) -> (N, d)."""
        made = self.norm(self.layers(torch.cat([noise, F.one_hot(y, self.classes).to(noise.dtype)], dim=1)))
        return self.mean + self.deviation * made


class Adversaries(Trainable):
    """Generator of rows on which the global model and clients disagree, and the global model, which learns them.

    The entry ``learner`` of a batch names the side that learns. Every epoch begins with new noise and classes, the
    first one with a new generator.
    """

    counts: Tensor

    def __init__(
        self,
        student: nn.Module,
        teachers: Sequence[nn.Module],
        generator: Generator,
        counts: Tensor,
        rows: int,
        call: Call | None,
    ) -> None:
        super().__init__()
        self.student, self.generator, self.rows, self.call = student, generator, rows, call
        self.register_buffer("counts", counts)
        self._teachers = [teacher.eval() for teacher in teachers]  # in a list: not registered, so not trained
        self._viewer = self.hold(Viewer(student, call=call))

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - fit's signature
        """Draw the classes and noise of a game, and before the first game new weights of the generator."""
        if epoch == 0:
            reset_parameters(self.generator)
        like = next(self.generator.parameters())
        y = torch.multinomial(self.counts.sum(dim=0).double().cpu(), self.rows, replacement=True)
        self._drawn = y.to(like.device), torch.randn(self.rows, self.generator.noise).to(like)
        self._weights = class_shares(self._drawn[0], self.counts).to(like)
        self._target: tuple[Any, Tensor] | None = None

    def forward(self, turn: Batch) -> Step:
        """Compute the loss of the side whose turn it is."""
        if turn["learner"] == "generator":
            with evaluating(self.student):
                loss, name = self._generator_loss(), "generator"
        else:
            if self._target is None:
                with torch.no_grad():
                    batch = self._batch()
                    self._target = batch, torch.stack([*self._taught(batch)])
            batch, taught = self._target
            loss, name = fedftg_student(self._viewer(batch)["logits"], taught, self._weights), "student"
        return Step(loss, {name: loss.detach()})

    def _generator_loss(self) -> Tensor:
        (y, z), batch = self._drawn, self._batch()
        known = constant_logits(self.student, batch, call=self.call)
        pairs = zip(self._taught(batch), self._weights, strict=True)
        made = [
            fedftg_generator(batch["x"], z, known, t, y, weight, clients=len(self._teachers)) for t, weight in pairs
        ]
        return torch.stack([terms.loss for terms in made]).sum()

    def _batch(self) -> dict[str, Tensor]:
        """Make a batch of the generator's rows, without an edge."""
        y, z = self._drawn
        x: Tensor = self.generator(z, y)
        return {"x": x, "edge_index": torch.empty(2, 0, dtype=torch.long, device=x.device)}

    def _taught(self, batch: Batch) -> Iterator[Tensor]:
        return (constant_logits(teacher, batch, call=self.call) for teacher in self._teachers)


class GeneratorTerms(NamedTuple):
    """The generator's loss for one client, and its terms before their weights."""

    loss: Tensor
    disagreement: Tensor
    classes: Tensor
    diversity: Tensor


def fedftg_generator(
    synthetic: Tensor,
    noise: Tensor,
    student: Tensor,
    teacher: Tensor,
    y: Tensor,
    weights: Tensor,
    *,
    clients: int,
    class_weight: float = 1.0,
    disagreement_weight: float = 1.0,
) -> GeneratorTerms:
    """Compute the generator's loss for one client. Zhang et al., CVPR 2022, arXiv:2203.09249 (FedFTG).

    -disagreement_weight mean_i w_i mean_c |s_ic - t_ic| + class_weight mean_i w_i CE(t, y)
    + exp(-mean_ij |n_i - n_j|^2 / m |x_i - x_j| / d) / clients: rows that the global model answers unlike the client,
    that the client takes for class y, and that differ where their noise differs.
    synthetic x: (N, d), noise n: (N, m), student (global model) and teacher (client): (N, C) logits of x, y: (N,),
    weights: (N,), the client's share of class y. The client's logits are constant in the first term, and CE and
    weights are averaged before they are multiplied, both as in the authors' code. O(N^2 d).
    """
    check_same_shape(student, teacher)
    disagreement = -(weights * (student - teacher.detach()).abs().mean(dim=-1)).mean()
    classes = cross_entropy(teacher, y) * weights.mean()
    apart = (noise[:, None] - noise).square().mean(dim=-1) * (synthetic[:, None] - synthetic).abs().mean(dim=-1)
    diversity = (-apart.mean()).exp()
    loss = disagreement_weight * disagreement + class_weight * classes + diversity / clients
    return GeneratorTerms(loss, disagreement, classes, diversity)


def fedftg_student(student: Tensor, teachers: Tensor, weights: Tensor) -> Tensor:
    """Compute the global model's loss on fake rows: (N, C), (K, N, C), (K, N) -> scalar. Zhang et al., CVPR 2022.

    Cross-entropy with sum_k w_ki softmax(t_ki), w_ki client k's share of the class of row i, a mean over N C entries as
    in the authors' code. Where clients that have a row's class are absent, its shares, and so its target, sum to less
    than 1.
    """
    check_stack(teachers)
    check_same_shape(student, teachers[0])
    if weights.shape != teachers.shape[:2]:
        raise ValueError(f"'weights' must have shape {tuple(teachers.shape[:2])}, got {tuple(weights.shape)}")
    s, t = (logits.to(accumulation_dtype(logits)) for logits in (student, teachers))
    target = torch.einsum("kn,knc->nc", weights.to(t.dtype), t.softmax(dim=-1))
    return -(target * s.log_softmax(dim=-1)).sum() / max(student.numel(), 1)


def class_shares(y: Tensor, counts: Tensor) -> Tensor:
    """Compute each client's share of every row's class: (N,), (K, C) counts -> (K, N); 0 where no client has it."""
    return (counts / counts.sum(dim=0).clamp_min(1)).to(torch.get_default_dtype())[:, y]
