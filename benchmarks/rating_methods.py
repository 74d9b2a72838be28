"""The methods of the rating benchmark, by name: one literal table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.nn import MLP

from graphkd import Cached, Distiller, Loss, fit
from graphkd.core.rng import seeded
from graphkd.core.view import Batch
from graphkd.losses import (
    SRRL,
    AttentiveHint,
    AttentiveImitation,
    FitNet,
    InfoNCE,
    OutlierRejection,
    TeacherBounded,
)
from graphkd.losses.regression import squared_errors
from graphkd.schemes import AdversarialHint, Record, data_free_regression, reconstruct
from recsys.rows import RowBatches, Rows

MADE = 2000  # rows made from activation records


class SquaredError(Loss):
    """Mean squared error of the outputs, (N, 1) each."""

    rows: ClassVar[tuple[str, ...]] = ("y",)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        """See the class."""
        return squared_errors(student, y).mean()


class Regressor(nn.Module):
    """ReLU layers on features (N, F): ``logits`` (N, 1), the number, and ``hidden``, what the last layer reads.

    heads: outputs; a second one is ``imitation``, which otherwise is the first. ``project`` to another width is of use
    to losses that compare layers of one width, and plays no part in the answer.
    """

    def __init__(self, widths: list[int], *, heads: int = 1, project: int | None = None) -> None:
        super().__init__()
        self.body = MLP(widths, norm=None, plain_last=False)
        self.head = nn.Linear(widths[-1], heads)
        self.project: nn.Module = nn.Identity() if project is None else nn.Linear(widths[-1], project)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """See the class."""
        hidden = self.body(x)
        output = self.head(hidden)
        return {"logits": output[:, :1], "imitation": output[:, -1:], "hidden": self.project(hidden)}


@dataclass
class Lesson:
    """A student of some layers to train on ratings, a trained teacher, and options of ``fit``."""

    rows: Rows
    layers: list[int]
    teacher: Regressor
    options: Mapping[str, Any]

    @property
    def width(self) -> int:
        """Of the teacher's hidden layer."""
        return self.teacher.head.in_features

    def student(self, **parts: Any) -> Regressor:
        """A student with weights of the seed."""
        with seeded(self.options["seed"]):
            return Regressor([self.rows.columns["x"].size(1), *self.layers], **parts)

    @cached_property
    def known(self) -> Cached:
        """The teacher's answers."""
        return Cached(self.teacher, self.rows.take())

    @cached_property
    def error_range(self) -> tuple[float, float]:
        """The least and the greatest squared error of the teacher on training rows."""
        batch = self.rows.take(self.rows.train)
        errors = squared_errors(self.known(batch)["logits"], batch["y"])
        return float(errors.min()), float(errors.max())

    def train(self, student: Regressor, losses: Callable[[], Loss], *, to_the_end: bool = False) -> Regressor:
        """On the training rows; of losses that need no teacher's answers none are computed."""
        with seeded(self.options["seed"]):
            loss = losses()
        teacher = self.known if any(part.needs_teacher for _, part in loss.parts()) else None
        options = {**self.options, "metric": None, "patience": None} if to_the_end else self.options
        fit(Distiller(student, teacher, loss), RowBatches(self.rows, self.rows.train), **options)
        return student


Train = Callable[[Lesson], Regressor]


def _by(losses: Callable[[Lesson], Loss], *, heads: int = 1, projected: bool = False) -> Train:
    def train(lesson: Lesson) -> Regressor:
        student = lesson.student(heads=heads, project=lesson.width if projected else None)
        return lesson.train(student, lambda: losses(lesson))

    return train


def _attentive_hint(lesson: Lesson) -> Regressor:
    """The hint first, to its last epoch; then attentive imitation."""
    student = lesson.student(project=lesson.width)
    lesson.train(student, lambda: 1.0 * AttentiveHint(error_range=lesson.error_range), to_the_end=True)
    return lesson.train(student, lambda: 1.0 * AttentiveImitation(error_range=lesson.error_range))


def _data_free(lesson: Lesson) -> Regressor:
    student = lesson.student()
    data_free_regression(student, lesson.teacher, lesson.rows.columns["x"].size(1), seed=lesson.options["seed"])
    return student


def _records(lesson: Lesson) -> Regressor:
    """Rows made from the mean and covariance of the teacher's hidden layer on training rows; the last epoch."""
    seed = lesson.options["seed"]
    records = {"hidden": Record.of(lesson.known(lesson.rows.take(lesson.rows.train))["hidden"])}
    x = reconstruct(lesson.teacher, records, {}, (MADE, lesson.rows.columns["x"].size(1)), seed=seed)
    made: Batch = {"x": x}
    options = {**lesson.options, "epochs": 200, "metric": None, "patience": None}
    student = lesson.student()
    fit(Distiller(student, Cached(lesson.teacher), FitNet(on="logits")), made, **options)
    return student


METHODS: dict[str, Train] = {
    "none": _by(lambda _: 1.0 * SquaredError()),
    "kd": _by(lambda _: 0.5 * SquaredError() + 0.5 * FitNet(on="logits")),
    "teacher_bounded": _by(lambda _: 1.0 * TeacherBounded()),
    "outlier_rejection": _by(lambda _: 1.0 * OutlierRejection(2.0), heads=2),
    "attentive_imitation": _by(lambda lesson: 1.0 * AttentiveImitation(error_range=lesson.error_range)),
    "attentive_hint": _attentive_hint,
    "srrl": _by(lambda lesson: SquaredError() + 1.0 * SRRL(lesson.teacher.head.weight, lesson.layers[-1])),
    "cakd": _by(
        lambda lesson: SquaredError() + FitNet() + 0.1 * InfoNCE() + 0.1 * AdversarialHint(lesson.width), projected=True
    ),
    "data_free_regression": _data_free,
    "activation_records": _records,
}


def method(name: str) -> Train:
    """The method of that name; ValueError that lists the names where there is none."""
    if name not in METHODS:
        raise ValueError(f"'methods' must be among {list(METHODS)} or all, got {name!r}")
    return METHODS[name]


@torch.no_grad()
def predicted(model: Regressor, batch: Mapping[str, Tensor]) -> Tensor:
    """The number of every row: (N, 1), in eval mode."""
    training = model.training
    model.eval()
    try:
        return model(batch["x"])["logits"]
    finally:
        model.train(training)
