"""Data-free distillation of a regression: a generator makes inputs on which student and teacher differ.

Kang and Kang, "Data-Free Knowledge Distillation in Neural Networks for Regression", Expert Systems with Applications
2021.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphkd.core.batches import Mapped, changed
from graphkd.core.distiller import Step
from graphkd.core.method import method
from graphkd.core.modes import evaluating
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call
from graphkd.losses.regression.disagreement import disagreement
from graphkd.schemes._functional import constant_logits, logits_with

_EPS = 1e-5  # as in batch norm


class FakeTurn(NamedTuple):
    """Batch of whose ``x`` only the shape is read, and whether the generator (else the student) learns from it."""

    batch: Any
    for_generator: bool


class FakeTurns(Mapped):
    """Batches for an epoch: each one ``steps`` times for the student, then once for the generator."""

    def __init__(self, data: Batch | Iterable[Batch], steps: int = 10) -> None:
        super().__init__(data, changed)
        self.steps = steps

    def __len__(self) -> int:
        return super().__len__() * (self.steps + 1)

    def __iter__(self) -> Iterator[FakeTurn]:
        for batch in super().__iter__():
            for number in range(self.steps + 1):
                yield FakeTurn(changed(batch), number == self.steps)


class DataFreeRegression(Trainable):
    """Student of a regressing teacher without its data; ``fit`` it on ``FakeTurns``. Kang and Kang, ESWA 2021.

    The generator, noise (N, ``noise``) -> inputs (N, d), minimises ``disagreement`` between student and teacher, whose
    weights are constant there; size, output: weights of its penalties. The student minimises f mean (t - s)^2 on
    generated inputs, which are constant, plus (1 - f) times the same on normal inputs; f falls from 1 to 0 over the
    epochs. mean, deviation: of the teacher's own inputs, of all features (a number) or of each, (d,), by default 0 and
    1, those of standardised features. Normal inputs have them, and generated inputs are standardised to them batch by
    batch (a single row becomes the mean), since disagreement grows without bound away from the data;
    ``standardise=False`` is the paper's, whose inputs diverge. Edges of a graph are still used, where the models take
    them; logits of a classifier count as numbers. The teacher must be differentiable in ``x``, and is in eval mode.
    calls: replace the by-name calls of student and teacher. Raises ValueError unless ``deviation`` is above 0.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        generator: nn.Module,
        *,
        noise: int = 50,
        size: float = 1e-5,
        output: float = 1e-5,
        standardise: bool = True,
        mean: float | Tensor = 0.0,
        deviation: float | Tensor = 1.0,
        calls: tuple[Call | None, Call | None] = (None, None),
    ) -> None:
        super().__init__()
        self.student, self.generator, self.calls = student, generator, calls
        self.noise, self.size, self.output = noise, size, output
        self.standardise = standardise
        for name, value in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.get_default_dtype()))
        if not bool((self.deviation > 0).all()):
            raise ValueError(f"'deviation' must be above 0 for every feature, got {float(self.deviation.min())}")
        self._teacher, self.share = self.hold(Frozen(teacher, call=calls[1])), 1.0

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Set the weight of generated inputs; ``fit`` calls this before every epoch."""
        self.share = 1 - epoch / epochs

    def made(self, x: Tensor) -> Tensor:
        """Generate as many inputs as ``x`` has rows, on the scale of the teacher's."""
        rows: Tensor = self.generator(x.new_empty(x.size(0), self.noise).normal_())
        if not self.standardise:
            return rows
        apart = rows - rows.mean(dim=0)
        return self.mean + self.deviation * apart / (apart.square().mean(dim=0) + _EPS).sqrt()

    def forward(self, turn: FakeTurn) -> Step:
        """Compute the generator's loss, or the student's."""
        batch, x = turn.batch, turn.batch["x"]
        made = self.made(x)
        if turn.for_generator:
            pairs, seen = zip((self.student, self._teacher.model), self.calls, strict=True), changed(batch, x=made)
            with evaluating(self._teacher.model):
                s, t = (constant_logits(model, seen, call=call) for model, call in pairs)
            loss = disagreement(s, t, made, size=self.size, output=self.output)
            return Step(loss, {"generator": loss.detach()})
        errors = []
        for inputs in (made.detach(), self.mean + self.deviation * torch.randn_like(x)):
            seen = changed(batch, x=inputs)
            student = logits_with(self.student, seen, call=self.calls[0])
            errors.append((student - self._teacher(seen)["logits"]).square().mean())
        made_loss, normal_loss = errors
        loss = self.weighed({"made": (self.share, made_loss), "normal": (1 - self.share, normal_loss)})
        return Step(loss, {"made": made_loss.detach(), "normal": normal_loss.detach()})


@method(
    "data_free_regression",
    family="data_free",
    paper="Kang and Kang, ESWA 2021",
    survey=(194, 205),
    tasks=("node_classification", "regression"),
    cannot={
        "sparse": "it makes up rows of features like them",
        "ensemble": "a generator learns by gradients through its teacher's model",
    },
)
def data_free_regression(
    problem: Problem,
    *,
    noise: int = 50,
    inner: int = 128,
    steps: int = 10,
    size: float = 1e-5,
    output: float = 1e-5,
    standardise: bool = True,
    mean: Any = 0.0,
    deviation: Any = 1.0,
) -> nn.Module:
    """Learn the teacher's numbers on inputs that a generator makes up, without real ones.

    Choose it where the teacher may be stored but not its training data. Of the data only the number of rows and, where
    models take them, the edges are read, never the values of ``x``. A generator with one hidden layer, ``noise`` to
    ``inner`` to features, searches for inputs on which student and teacher disagree; it learns in one of ``steps`` + 1
    steps, see ``DataFreeRegression``; size, output: weights of the generator's penalties. standardise, mean, deviation:
    generated inputs are brought to the scale of the teacher's own, numbers or (F,); give that scale where its features
    were not standardised. Without ``standardise`` generated inputs diverge. Costs ``steps`` + 1 steps, of two passes of
    each model, where other methods take one.
    """
    teacher, width = problem.teacher, problem.features

    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(noise, inner), nn.ReLU(), nn.Linear(inner, width))

    options: dict[str, Any] = {"noise": noise, "size": size, "output": output, "standardise": standardise}
    options |= {"mean": mean, "deviation": deviation}
    options["calls"] = problem.call_of(problem.student), problem.call_of(teacher)
    playing = DataFreeRegression(problem.student, teacher.model, problem.made(build), **options)
    return problem.train(playing, data=FakeTurns(problem.data, steps))
