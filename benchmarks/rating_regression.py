"""Distil models that predict ratings from features of users and films: teacher x student x methods x seeds.

``python -m benchmarks.recsys --task ratings --dataset ml-100k --methods all --seeds 5 --threads 1``. A row's features
are the user's and the film's mean rating and number of ratings (of other training rows), and their attributes, one
column a value. ``--outliers`` replaces a share of the training ratings by ratings of other rows.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from torch import nn

import graphkd
from benchmarks.context.ratings import Regressor, dense
from benchmarks.measure import timed
from benchmarks.options import add_methods, add_tuning, split_settings, use_methods
from benchmarks.report import plot, show
from benchmarks.rows import Row
from benchmarks.runs import Job, Place, collect, shared_model
from benchmarks.taught import taught_jobs
from benchmarks.tuning import Settings, divided
from datasets.clicks import CLICKS, load_clicks
from graphkd.core.adam import adam
from graphkd.core.distilled import Distilled
from graphkd.core.method import Metadata
from graphkd.core.rng import seeded
from graphkd.tasks import Regression
from graphkd.tasks.metrics import answers
from recsys.data.rows import RowBatches

METHODS: Mapping[str, Metadata] = {
    row.name: row for row in graphkd.methods(task="regression") if set(row.needs) <= {"hidden"}
}
GROUPS = {"all": ["none", *(name for name in METHODS if name != "none")]}
MADE_UP = 256  # rows that are made up at once, of which the data are not looked at
TRAINING = {"epochs": 20, "patience": 4, "lr": 1e-3, "weight_decay": 0.0}


class Series:
    """The runs of one seed: rows, the teacher, and a student of every method."""

    def __init__(self, arguments: argparse.Namespace, seed: int) -> None:
        self.arguments, self.seed = arguments, seed
        self.rows = dense(load_clicks(arguments.dataset, seed=seed).rows, outliers=arguments.outliers, seed=seed)
        self.batches = RowBatches(self.rows, self.rows.train)
        self.task = Regression(val=self.rows.take(self.rows.valid), test=self.rows.take(self.rows.test))
        self._teacher: Distilled | None = None

    def build(self, layers: list[int]) -> nn.Module:
        """A model with weights of the seed."""
        with seeded(self.seed):
            return self._new(layers)

    def _new(self, layers: list[int]) -> nn.Module:
        return Regressor([self.rows.columns["x"].size(1), *layers])

    def teacher(self, place: Place) -> Distilled:
        """The teacher, which learns the ratings."""
        if self._teacher is None:
            arguments, built = self.arguments, self.build(self.arguments.teacher)
            about = {"dataset": arguments.dataset, "split": split_of(arguments), "kind": written(arguments.teacher)}
            about |= {"seed": self.seed, **values_of(arguments)}
            train = partial(self.run, "none", built, None, {})
            self._teacher = shared_model(about, built, train, place, arguments.runs)
        return self._teacher

    def run(
        self, name: str, student: nn.Module, teacher: Any, given: Mapping[str, Any], place: Place
    ) -> tuple[Distilled, Row]:
        """Train a student by a method."""
        settings, asked = split_settings(METHODS[name], given)
        values = {**values_of(self.arguments), **asked}
        optimizer = adam(lr=values["lr"], weight_decay=values["weight_decay"])
        options = {**self._options(name, values), **settings, "optimizer": optimizer}
        found, costs = place.distil(name, student, teacher, self._data(name), **options)
        return found, {"train_seconds": costs["train_seconds"]}

    def tuned(self, name: str, place: Place, **options: Any) -> graphkd.Tuned:
        """Search the settings of a method and of its training, around those that were asked for."""
        arguments, row = self.arguments, METHODS[name]
        own, asked = split_settings(row, arguments.given[name])
        values = {**values_of(arguments), **asked}
        around, kept = divided(row, own, values, arguments.fixed[name])
        options |= {**around, **kept, **self._options(name, values)}
        teacher = self.teacher(place).model if row.teacher else None
        return graphkd.tune(name, partial(self._new, arguments.student), teacher, self._data(name), **options)

    def _options(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        options: dict[str, Any] = {"hidden": "body"} if "hidden" in METHODS[name].needs else {}
        options |= {"epochs": values["epochs"], "patience": values["patience"] or None}
        return {**options, "task": self.task, "seed": self.seed}

    def _data(self, name: str) -> Any:
        """The training rows; some of them for a method that makes up others."""
        return self.rows.take(self.rows.train[:MADE_UP]) if name == "data_free_regression" else self.batches


def values_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a training is told by the command line, else by the defaults."""
    known = {name: getattr(arguments, name, None) for name in TRAINING}
    return {**TRAINING, **{name: value for name, value in known.items() if value is not None}}


def split_of(arguments: argparse.Namespace) -> str:
    """What the ratings are."""
    return "ratings" if not arguments.outliers else f"ratings, {arguments.outliers:g} outliers"


def written(layers: list[int]) -> str:
    """Widths as they are asked for."""
    return "-".join(map(str, layers))


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """The teacher of every seed, then a student of every method."""
    series = lru_cache(maxsize=2)(partial(Series, arguments))  # that of a seed, and that of searches
    teacher_name, student_name = written(arguments.teacher), written(arguments.student)
    about = {"dataset": arguments.dataset, "split": split_of(arguments), "teacher": teacher_name}
    about |= {"student": student_name, "options": values_of(arguments)}

    def search(name: str, place: Place, **asked: Any) -> graphkd.Tuned:
        return series(arguments.first_seed).tuned(name, place, **asked)

    settings = Settings(arguments, about, search)

    def teacher(seed: int, place: Place) -> Iterator[Row]:
        found = series(seed).teacher(place)
        return measured(series(seed), found.model, found.card["costs"])

    def student(name: str, seed: int, chosen: Mapping[str, Any], place: Place) -> Iterator[Row]:
        found = series(seed)
        taught = found.teacher(place).model if METHODS[name].teacher else None
        trained, costs = found.run(name, found.build(arguments.student), taught, chosen, place)
        return measured(found, trained.model, costs)

    yield from taught_jobs(arguments, about, settings, teacher, student, {"student": teacher_name})


def measured(series: Series, model: nn.Module, costs: Mapping[str, Any]) -> Iterator[Row]:
    """Errors on the test rows, and costs."""
    some = series.rows.take(series.rows.test[:1000])
    costs = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "latency_ms": 1e3 * sorted(timed(partial(answers, model, some), 9))[4],
        **costs,
    }
    scores = series.task.score(model, series.batches)
    yield from ({"metric": metric, "value": value, **costs} for metric, value in scores.items())


def _layers(text: str) -> list[int]:
    if not re.fullmatch(r"[1-9]\d*(-[1-9]\d*)*", text):
        raise argparse.ArgumentTypeError(f"layers are WIDTH-WIDTH-..., got {text!r}")
    return [int(width) for width in text.split("-")]


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    prog = "python -m benchmarks.recsys --task ratings"
    parser = argparse.ArgumentParser(prog=prog, description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--dataset", default="ml-100k", choices=list(CLICKS), help="(default: %(default)s)")
    add("--teacher", type=_layers, default="128-128", help="widths of its layers (default: %(default)s)")
    add("--student", type=_layers, default="8", help="widths of its layers (default: %(default)s)")
    add("--outliers", type=float, default=0.0, help="share of wrong training ratings (default: %(default)s)")
    add("--epochs", type=int, help=f"at most (default: {TRAINING['epochs']})")
    add("--patience", type=int, help=f"epochs without a better validation (default: {TRAINING['patience']})")
    add("--lr", type=float, help=f"of Adam (default: {TRAINING['lr']:g})")
    add_methods(parser, list(METHODS.values()), default="all", groups=GROUPS)
    add_tuning(parser)
    arguments = parser.parse_args(argv)
    use_methods(parser, arguments, list(METHODS.values()), GROUPS, "ratings")
    if not 0 <= arguments.outliers < 1:
        parser.error(f"'--outliers' must be from 0 to below 1, got {arguments.outliers}")
    return arguments


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    rows = collect(list(jobs(arguments)), arguments)
    title = f"{arguments.dataset}, {split_of(arguments)}, {arguments.seeds} seeds"
    show(rows, title, wide=arguments.wide)
    if arguments.plot:
        plot(rows, arguments.plot, title, quality="explained", latency="milliseconds for 1,000 rows")
    return rows
