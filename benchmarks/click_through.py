"""Distil click-through models: light net x methods x seeds, and KDCRec's students on a simulated uniform sample.

``python -m benchmarks.recsys --task ctr --methods all --seeds 5``. Light nets learn from logged clicks, KDCRec's
students are tested on uniform ratings, which are simulated (``datasets.clicks.thinned``): two tables of their own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from benchmarks.context import uniform_methods
from benchmarks.context.click_methods import METHODS, Lesson
from benchmarks.context.click_models import Averaged, build, check_model, cost, judge
from benchmarks.options import add_options, collect, use_options
from benchmarks.report import plot, show
from datasets.clicks import CLICKS, load_clicks, thinned
from graphkd import Distiller, fit
from graphkd.core.rng import seeded
from recsys.data.rows import RowBatches
from recsys.evaluate.clicks import quality
from recsys.losses import Clicks
from recsys.models.clicks import show as view

Row = dict[str, Any]
KNOWN = {**METHODS, **uniform_methods.METHODS}
GROUPS = {
    "all": list(KNOWN),
    "clicks": list(METHODS),
    **{kind: [name for name in KNOWN if name.startswith(f"{kind}.")] for kind in uniform_methods.LESSONS},
}


class Series:
    """The runs of one seed on one dataset: of the split, of weights, of batches."""

    def __init__(self, arguments: argparse.Namespace, seed: int) -> None:
        self.arguments, self.seed = arguments, seed
        self.clicks = load_clicks(arguments.dataset, seed=seed)

    def rows(self) -> Iterator[list[Row]]:
        """The rows of one trained model after the other."""
        clicks = [name for name in self.arguments.methods if name in METHODS]
        if clicks:
            yield from self.logged(clicks)
        for kind, lesson in uniform_methods.LESSONS.items():
            names = [name for name in self.arguments.methods if name.startswith(f"{kind}.")]
            if names:
                yield from self.uniform(kind, lesson, names)

    def logged(self, names: list[str]) -> Iterator[list[Row]]:
        """Teachers, then a light net of every method, on logged clicks."""
        teachers: list[nn.Module] = []
        begun = time.perf_counter()
        for number, text in enumerate(self.arguments.teachers, start=1):
            model, started = self._build(text), time.perf_counter()
            self._fit(Distiller(model, None, Clicks(), call=view), model)
            teachers.append(model)
            yield self._judged(f"teacher.{number}", text, model, started)
        yield self._judged("teacher", "+".join(self.arguments.teachers), Averaged(teachers), begun)
        for name in names:
            lesson = Lesson(
                self.clicks, self._build(self.arguments.student), partial(self._build, self.arguments.booster), teachers
            )
            with seeded(self.seed):
                plan = METHODS[name](lesson)
            started = time.perf_counter()
            self._fit(plan.task, plan.served, plan.rows, plan.metric)
            yield self._judged(name, self.arguments.student, plan.served, started)

    def uniform(self, kind: str, make: type[Any], names: list[str]) -> Iterator[list[Row]]:
        """The uniform model, then a student of every method, on a simulated uniform sample."""
        split = thinned(self.clicks.rows, seed=self.seed)
        lesson = make(split, lambda plan: self._fit_uniform(lesson, plan))
        with seeded(self.seed):
            started, teacher = time.perf_counter(), lesson.uniform
        known: dict[str, tuple[nn.Module, float]] = {f"{kind}.teacher": (teacher, started)}
        if any(name.endswith((".bridge", ".refine")) for name in names):
            with seeded(self.seed):
                _ = lesson.biased  # before any student draws its weights
        for name in [f"{kind}.teacher", *names]:
            if name not in known:
                with seeded(self.seed):
                    plan = uniform_methods.METHODS[name](lesson)
                started = time.perf_counter()
                known[name] = self._fit_uniform(lesson, plan), started
            model, started = known[name]
            seconds = time.perf_counter() - started
            some = type(split.test)(*(column[torch.arange(1000) % len(column)] for column in split.test))
            costs = {**cost(model, partial(lesson.score, model, some)), "train_seconds": seconds}
            values = quality(lesson.score(model, split.test), split.test.values > 0)
            yield self._as_rows("uniform-simulated", f"{kind}.uniform", name, lesson.name, values, costs)

    def _build(self, text: str) -> nn.Module:
        with seeded(self.seed):
            return build(text, self.clicks)

    def _fit(
        self,
        task: Distiller,
        served: nn.Module,
        rows: Any = None,
        metric: Callable[[nn.Module], float] | None = None,
    ) -> None:
        """Train on logged clicks; the epoch is that of the best validation AUC, or of the best ``metric``."""
        rows = rows or self.clicks.rows
        batches = RowBatches(rows, rows.train, batch_size=self.arguments.batch_size)
        validate = metric or (lambda _: judge(served, self.clicks, rows.valid)["auc"])
        fit(task, batches, metric=validate, **self._options(self.arguments.lr, self.arguments.weight_decay))

    def _fit_uniform(self, lesson: uniform_methods.Lesson, plan: uniform_methods.Plan) -> nn.Module:
        """Train a student of KDCRec; the epoch is that of the best AUC on the uniform validation part."""
        valid = lesson.split.valid
        metric = partial(lambda pairs, _: quality(lesson.score(plan.served, pairs), pairs.values > 0)["auc"], valid)
        options = self._options(lesson.rate * self.arguments.lr, 0.0, lesson.passes)
        fit(plan.task, plan.batches, metric=metric, **options)
        return plan.served

    def _options(self, lr: float, weight_decay: float, passes: int = 1) -> dict[str, Any]:
        adam = partial(torch.optim.Adam, lr=lr, weight_decay=weight_decay, fused=True)
        arguments = self.arguments
        return {
            "epochs": passes * arguments.epochs,
            "patience": passes * arguments.patience,
            "optimizer": adam,
            "seed": self.seed,
            "progress": False,
        }

    def _judged(self, method: str, student: str, model: nn.Module, started: float) -> list[Row]:
        seconds = time.perf_counter() - started
        some = self.clicks.rows.take(self.clicks.rows.test[torch.arange(1000) % len(self.clicks.rows.test)])
        costs = {**cost(model, partial(model, some)), "train_seconds": seconds}
        values = judge(model, self.clicks, self.clicks.rows.test)
        return self._as_rows("logged", "+".join(self.arguments.teachers), method, student, values, costs)

    def _as_rows(
        self, split: str, teacher: str, method: str, student: str, values: dict[str, float], costs: dict[str, float]
    ) -> list[Row]:
        about = {"dataset": self.arguments.dataset, "split": split, "teacher": teacher, "student": student}
        about |= {"method": method, "seed": self.seed}
        return [{**about, "metric": metric, "value": value, **costs} for metric, value in values.items()]


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """One row a measured value, seed by seed."""
    kinds = [kind for kind in uniform_methods.LESSONS if any(n.startswith(f"{kind}.") for n in arguments.methods)]
    teachers = len(arguments.teachers) + 1 if any(name in METHODS for name in arguments.methods) else 0
    with tqdm(
        total=arguments.seeds * (len(arguments.methods) + teachers + len(kinds)), unit="run", disable=None
    ) as bar:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            for measured in Series(arguments, seed).rows():
                yield from measured
                bar.set_postfix(seed=seed, method=measured[0]["method"])
                bar.update()


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    prog = "python -m benchmarks.recsys --task ctr"
    parser = argparse.ArgumentParser(prog=prog, description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    form = "NAME:WIDTH:LAYER-LAYER, net or a context-aware model of RecBole"
    teachers = "DeepFM:16:64-64,DCN:16:64-64,WideDeep:16:64-64"
    add("--dataset", default="ml-100k", choices=list(CLICKS), help="(default: %(default)s)")
    add("--teachers", default=teachers, help=f"comma-separated, {form}; 'kd' learns from the first (%(default)s)")
    add("--student", default="net:8:16", help=f"the light net, {form} (default: %(default)s)")
    add("--booster", default="net:8:64-64", help="of rocket launching, with the student's width (default: %(default)s)")
    add("--epochs", type=int, default=40, help="at most; KDCRec's autoencoders: four times that (%(default)s)")
    add("--patience", type=int, default=4, help="epochs without a better validation (default: %(default)s)")
    add("--batch-size", type=int, default=1024, help="(default: %(default)s)")
    add(
        "--lr",
        type=float,
        default=1e-3,
        help="of Adam; KDCRec's factorisations: five times that (default: %(default)s)",
    )
    add("--weight-decay", type=float, default=1e-5, help="of Adam, not for KDCRec's students (default: %(default)s)")
    add_options(parser, list(KNOWN), default="none,kd,ensemble,rocket", groups=list(GROUPS))
    arguments = parser.parse_args(argv)
    use_options(parser, arguments, GROUPS, _check_method)
    arguments.teachers = arguments.teachers.split(",")
    try:
        for text in (*arguments.teachers, arguments.student, arguments.booster):
            check_model(text, arguments.dataset)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def _check_method(name: str) -> None:
    if name not in KNOWN:
        raise ValueError(f"'methods' must be among {list(KNOWN)} or {list(GROUPS)}, got {name!r}")


def main(argv: list[str] | None = None) -> list[Row]:
    """Run, print a table for each kind of student, write what was asked for; returns the rows."""
    arguments = parse(argv)
    measured = collect(rows, arguments)
    for kind in ("", *uniform_methods.LESSONS):
        part = [row for row in measured if row["method"].partition(".")[0] == kind] if kind else _of_clicks(measured)
        if part:
            named = [
                {**row, "method": row["method"].removeprefix(f"{kind}.") if kind else row["method"]} for row in part
            ]
            title = f"{arguments.dataset}, {part[0]['split']}, {arguments.seeds} seeds"
            show(named, title)
    if arguments.plot:
        shown = _of_clicks(measured) or measured
        plot(shown, arguments.plot, arguments.dataset, quality="auc", latency="milliseconds for 1,000 rows")
    return measured


def _of_clicks(measured: list[Row]) -> list[Row]:
    return [row for row in measured if row["split"] == "logged"]
