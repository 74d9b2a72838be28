"""Distil click-through models: light net x methods x seeds, and KDCRec's students on a simulated uniform sample.

``python -m benchmarks.recsys --task ctr --methods all --seeds 5``. Light nets learn from logged clicks, KDCRec's
students (``mf.bridge``: a factorisation by the method ``bridge``; ``ae`` an autoencoder, ``deep`` one of two layers)
are tested on uniform ratings, which are simulated (``datasets.clicks.thinned``): two tables of their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from torch import nn

from benchmarks.context.click_models import Averaged, check_model, cost, hidden
from benchmarks.context.series import CLICK_METHODS, KINDS, TRAINING, UNIFORM_METHODS, Series, values_of
from benchmarks.options import add_methods, add_tuning, seeds, use_methods
from benchmarks.report import plot, show
from benchmarks.rows import Row
from benchmarks.runs import Job, Place, collect
from benchmarks.tuning import Settings
from datasets.clicks import CLICKS
from graphkd import Tuned
from recsys.models.ratings import rated, rating_logits
from recsys.tasks import Clicks, UniformRatings
from recsys.tasks.uniform import reads_rows

METHODS = {**CLICK_METHODS, **UNIFORM_METHODS}
GROUPS = {
    "all": list(METHODS),
    "clicks": list(CLICK_METHODS),
    **{kind: [name for name in UNIFORM_METHODS if name.startswith(f"{kind}.")] for kind in KINDS},
}


# ---------------------------------------------------------------------- runs
def _taught(name: str, settings: Settings, series: Series, place: Place) -> Iterator[Row]:
    """A net taught by a method."""
    chosen, told = settings(name, place)
    teacher, needed = _needed(name, series, place)
    student = series.build(series.arguments.student)
    found, costs = series.on_clicks(name, student, teacher, place, **needed, **chosen)
    return ({**row, **told} for row in _judged(found.model, series, costs))


def _needed(name: str, series: Series, place: Place) -> tuple[Any, dict[str, Any]]:
    """The teacher of a net's method, and what it needs besides."""
    arguments, row = series.arguments, CLICK_METHODS[name]
    given: dict[str, Any] = {}
    teacher: Any = None
    if "teachers" in row.needs:
        teacher = series.teachers(place)
    elif row.teacher:
        teacher = series.teacher(0, place).model
    if "hidden" in row.needs:
        given["hidden"] = (hidden(series.build(arguments.student)), hidden(teacher[0]))
    if "booster" in row.needs:
        given["booster"] = series.build(arguments.booster)
    if "second" in row.needs:
        given["second"] = series.clicks.rows.columns["tasks"][:, 1]
    return teacher, given


def _searched(name: str, series: Series, place: Place, **options: Any) -> Tuned:
    """The settings of a method that a search finds."""
    if name in UNIFORM_METHODS:
        teacher = series.uniform_model(name.partition(".")[0], place).model
        return series.ratings_tuned(name, teacher, **options)
    teacher, needed = _needed(name, series, place)
    return series.clicks_tuned(name, teacher, {**needed, **series.arguments.given[name]}, **options)


def _teacher(number: int, series: Series, place: Place) -> Iterator[Row]:
    found = series.teacher(number, place)
    return _judged(found.model, series, found.card["costs"])


def _average(series: Series, place: Place) -> Iterator[Row]:
    """All teachers as one."""
    found = [series.teacher(number, place) for number in range(len(series.arguments.teachers))]
    costs = {"train_seconds": sum(each.card["costs"]["train_seconds"] for each in found)}
    return _judged(Averaged([each.model for each in found]), series, costs)


def _judged(model: nn.Module, series: Series, costs: Mapping[str, Any]) -> Iterator[Row]:
    rows = series.clicks.rows
    some = rows.take(rows.test[torch.arange(1000) % len(rows.test)])
    costs = {**cost(model, partial(model, some)), **costs}
    scores = Clicks().score(model, rows)
    yield from ({"metric": metric, "value": value, **costs} for metric, value in scores.items())


def _rating_student(name: str, settings: Settings, series: Series, place: Place) -> Iterator[Row]:
    """A student of KDCRec, or the uniform model."""
    kind, _, method = name.partition(".")
    teacher = series.uniform_model(kind, place)
    found, costs, told = teacher, teacher.card["costs"], Row()
    if method != "teacher":
        chosen, told = settings(name, place)
        found, costs = series.on_ratings(name, teacher.model, place, chosen)
    split, model = series.uniform, found.model
    some = type(split.test)(*(column[torch.arange(1000) % len(column)] for column in split.test))
    rows = split.logged_rows if reads_rows(model) else None
    costs = {**cost(model, lambda: rating_logits(rated(model, some, rows))), **costs}
    scores = UniformRatings().score(model, split)
    yield from ({"metric": metric, "value": value, **costs, **told} for metric, value in scores.items())


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """Teachers and nets of every seed on logged clicks, then uniform models and students of KDCRec."""
    series = lru_cache(maxsize=2)(partial(Series, arguments))  # that of a seed, and that of searches
    settings = _settings(arguments, series)
    logged = settings[""].about

    def job(about: Row, name: str, seed: int, run: Callable[..., Any]) -> Job:
        own = {"tuned": False, "method": name, "seed": seed, "settings": arguments.given.get(name, {})}
        return Job({**own, **about}, lambda place: run(series(seed), place))

    kinds = {kind: [name for name in arguments.methods if _kind(name) == kind] for kind in settings}
    for seed in seeds(arguments):
        for number, text in enumerate(arguments.teachers if kinds[""] else []):
            yield job({**logged, "student": text}, f"teacher.{number + 1}", seed, partial(_teacher, number))
        if kinds[""]:
            yield job({**logged, "student": logged["teacher"]}, "teacher", seed, _average)
        for kind, names in kinds.items():
            found, run = settings[kind], _rating_student if kind else _taught
            if kind and names:
                yield job(found.about, f"{kind}.teacher", seed, partial(run, f"{kind}.teacher", found))
            for name in names:
                yield job({**found.about, **found.rows}, name, seed, partial(run, name, found))


def _settings(arguments: argparse.Namespace, series: Callable[[int], Series]) -> dict[str, Settings]:
    """What the methods of nets, "", and of each kind of KDCRec's students are given."""

    def search(name: str, place: Place, **asked: Any) -> Tuned:
        return _searched(name, series(arguments.first_seed), place, **asked)

    options = {**values_of(arguments), "batch_size": arguments.batch_size, "booster": arguments.booster}
    about = {"dataset": arguments.dataset, "options": options}
    logged = {**about, "split": "logged", "teacher": "+".join(arguments.teachers), "student": arguments.student}
    found = {"": Settings(arguments, logged, search)}
    for kind, known in KINDS.items():
        names = {"split": "uniform-simulated", "teacher": f"{kind}.uniform", "student": known.name}
        found[kind] = Settings(arguments, {**about, **names}, search)
    return found


def _kind(name: str) -> str:
    """The kind of KDCRec's students that a method is of, or ""."""
    return name.partition(".")[0] if name in UNIFORM_METHODS else ""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
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
    add("--epochs", type=int, help=f"at most; KDCRec's autoencoders: four times that ({TRAINING['epochs']})")
    add("--patience", type=int, help=f"epochs without a better validation (default: {TRAINING['patience']})")
    add("--batch-size", type=int, default=1024, help="(default: %(default)s)")
    add("--lr", type=float, help=f"of Adam; KDCRec's factorisations: five times that (default: {TRAINING['lr']:g})")
    add("--weight-decay", type=float, help=f"of Adam, not for KDCRec's ({TRAINING['weight_decay']:g})")
    add_methods(parser, list(METHODS.values()), default="none,kd,ensemble,rocket", groups=GROUPS)
    add_tuning(parser)
    arguments = parser.parse_args(argv)
    use_methods(parser, arguments, list(METHODS.values()), GROUPS, "ctr")
    arguments.teachers = arguments.teachers.split(",")
    try:
        for text in (*arguments.teachers, arguments.student, arguments.booster):
            check_model(text, arguments.dataset)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print a table for each kind of student, write what was asked for; returns the rows."""
    arguments = parse(argv)
    measured = collect(list(jobs(arguments)), arguments)
    for kind in ("", *KINDS):
        part = [row for row in measured if row["method"].partition(".")[0] == kind] if kind else _of_clicks(measured)
        if part:
            title = f"{arguments.dataset}, {part[0]['split']}, {arguments.seeds} seeds"
            short = [{**row, "method": row["method"].removeprefix(f"{kind}.")} for row in part] if kind else part
            show(short, title, wide=arguments.wide)
    if arguments.plot:
        shown = _of_clicks(measured) or measured
        plot(shown, arguments.plot, arguments.dataset, quality="auc", latency="milliseconds for 1,000 rows")
    return measured


def _of_clicks(measured: list[Row]) -> list[Row]:
    return [row for row in measured if row["split"] == "logged"]
