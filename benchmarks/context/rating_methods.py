"""The methods of the rating benchmark, by name: one literal table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.nn import MLP

from graphkd import Cached, Distiller, Loss, fit
from graphkd.core.rng import seeded
from graphkd.core.view import Batch
from graphkd.losses import (
    SRRL,
    FitNet,
    InfoNCE,
    TeacherBounded,
)
from graphkd.losses.regression._errors import squared_errors
from graphkd.schemes import (
    DataFreeRegression,
    FakeTurns,
    FeatureAdversary,
    Record,
    attentive_student,
    outlier_rejecting_student,
    reconstruct,
)
from recsys.data.rows import RowBatches, Rows

MADE = 2000  # rows made from activation records
NOISE, FAKE, FAKE_EPOCHS = 50, 256, 200  # of a generator: what it reads, rows a batch, and how often it learns


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

    @property
    def batches(self) -> RowBatches:
        """Of the training rows."""
        return RowBatches(self.rows, self.rows.train)

    def train(self, student: Regressor, losses: Callable[[], Loss]) -> Regressor:
        """On the training rows; of losses that need no teacher's answers none are computed."""
        with seeded(self.options["seed"]):
            loss = losses()
        teacher = self.known if any(part.needs_teacher for _, part in loss.parts()) else None
        fit(Distiller(student, teacher, loss), self.batches, **self.options)
        return student


Train = Callable[[Lesson], Regressor]


def _by(losses: Callable[[Lesson], Loss]) -> Train:
    return lambda lesson: lesson.train(lesson.student(), lambda: losses(lesson))


def _attentive(lesson: Lesson, taps: tuple[str, str] | None = None) -> Regressor:
    student = lesson.student(project=lesson.width)
    attentive_student(student, lesson.known, lesson.batches, taps=taps, **lesson.options)
    return student


def _outliers(lesson: Lesson) -> Regressor:
    """A second head for the teacher."""
    student = lesson.student(heads=2)
    outlier_rejecting_student(student, lesson.known, lesson.batches, threshold=2.0, **lesson.options)
    return student


def _cakd(lesson: Lesson) -> Regressor:
    """A hint, a contrast and an adversary of hidden features; the weights are ours."""
    student, width = lesson.student(project=lesson.width), lesson.width
    hidden = FitNet() + 0.1 * InfoNCE()
    return lesson.train(student, lambda: SquaredError() + hidden + 0.1 * FeatureAdversary(width, width))


def _data_free(lesson: Lesson) -> Regressor:
    """Made inputs are standardised as the teacher's were, else they run away from those that it was trained on."""
    student, width = lesson.student(), lesson.rows.columns["x"].size(1)
    with seeded(lesson.options["seed"]):
        generator = nn.Sequential(
            nn.Linear(NOISE, NOISE), nn.ReLU(), nn.Linear(NOISE, width), nn.BatchNorm1d(width, affine=False)
        )
    task = DataFreeRegression(student, lesson.teacher, generator, noise=NOISE)
    options = {**lesson.options, "epochs": FAKE_EPOCHS, "metric": None, "patience": None}
    fit(task, FakeTurns({"x": torch.zeros(FAKE, width)}), **options)
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
    "outlier_rejection": _outliers,
    "attentive_imitation": _attentive,
    "attentive_hint": partial(_attentive, taps=("project", "project")),
    "srrl": _by(lambda lesson: SquaredError() + 1.0 * SRRL(lesson.teacher.head.weight, lesson.layers[-1])),
    "cakd": _cakd,
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
