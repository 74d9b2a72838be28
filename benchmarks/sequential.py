"""Compress sequential recommenders: teacher x student x methods x seeds on one dataset.

``python -m benchmarks.recsys --task sequential --dataset toys --teacher sasrec:64 --student gru4rec:64 --methods
none,kd,rrd,de --seeds 5``. Each user's last item tests, the one before validates; all items are ranked. EMKD needs a
BERT4Rec as student, SLMRec SASRecs of one width; they are in no group. DLLM2Rec has the teacher's lists and vectors.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import recsys
from benchmarks.options import add_methods, add_tuning, split_settings, use_methods
from benchmarks.plot import plot
from benchmarks.ranking.sequences import MODELS, PROTOCOLS, TimedSequential, build, check_model, cost
from benchmarks.report import show
from benchmarks.rows import Row
from benchmarks.runs import Job, Place, collect, shared_model
from benchmarks.taught import taught_jobs
from benchmarks.tuning import Settings, divided
from datasets.sequences import SEQUENCES, load_sequences
from graphkd import Tuned
from graphkd.core.adam import adam
from graphkd.core.distilled import Distilled
from graphkd.core.method import Metadata
from graphkd.core.rng import seeded
from recsys.data import SequenceSplit
from recsys.models import SequentialRecommender
from recsys.tasks import Sequential

METHODS: Mapping[str, Metadata] = {row.name: row for row in recsys.methods(task="sequential")}
OF_KINDS = ("emkd", "slmrec")  # which do not take all models
GROUPS = {
    "all": ["none", *(name for name in METHODS if name not in ("none", *OF_KINDS))],
    **{family: [row.name for row in METHODS.values() if row.family == family] for family in ("lists", "tables")},
}
METRICS = ("ndcg@10", "hit@10", "ndcg@5", "hit@5")
TRAINING = {"epochs": 40, "patience": 8, "lr": 3e-3, "weight_decay": 0.0}


class Series:
    """The runs of one seed: the teacher, then a student of every method."""

    def __init__(self, arguments: argparse.Namespace, seed: int) -> None:
        self.arguments, self.seed = arguments, seed
        self.split = SequenceSplit.leave_one_out(load_sequences(arguments.dataset), arguments.max_length)
        self._teacher: Distilled | None = None

    def _new(self, name: str, dropout: float) -> SequentialRecommender:
        return build(name, self.split, dropout)

    def build(self, name: str, dropout: float) -> SequentialRecommender:
        """A model with weights of the seed."""
        with seeded(self.seed):
            return self._new(name, dropout)

    def teacher(self, place: Place) -> Distilled:
        """The teacher; the runs of a seed share it."""
        if self._teacher is None:
            arguments, values = self.arguments, teachers_values(self.arguments)
            about = {"dataset": arguments.dataset, "split": protocol(arguments), "kind": arguments.teacher_name}
            about |= {"seed": self.seed, **values, **options_of(arguments), "dropout": arguments.teacher_dropout}
            built = self.build(arguments.teacher_name, arguments.teacher_dropout)
            train = partial(self._run, "none", built, None, {}, values)
            self._teacher = shared_model(about, built, train, place, arguments.runs)
        return self._teacher

    def student(self, name: str, given: Mapping[str, Any], place: Place) -> tuple[Distilled, Row]:
        """A student of a method, and what its training cost."""
        settings, asked = split_settings(METHODS[name], given)
        built = self.build(self.arguments.student_name, self.arguments.dropout)
        return self._run(name, built, self._teacher_of(name, place), settings, values_of(self.arguments, asked), place)

    def tuned(self, name: str, place: Place, **options: Any) -> Tuned:
        """Search the settings of a method and of its training, around those that were asked for."""
        arguments, row = self.arguments, METHODS[name]
        own, asked = split_settings(row, arguments.given[name])
        values = values_of(arguments, asked)
        around, kept = divided(row, own, values, arguments.fixed[name] | {"weight_decay"})
        kept |= {"task": self.task(Sequential), "seed": self.seed, "metric_every": arguments.metric_every}
        kept |= {"epochs": values["epochs"], "patience": values["patience"]}
        student = partial(self._new, arguments.student_name, arguments.dropout)
        return recsys.tune(name, student, self._teacher_of(name, place), self.split, **around, **kept, **options)

    def task(self, kind: Any = TimedSequential) -> Any:
        """How models are trained and judged."""
        arguments = self.arguments
        return kind(
            metrics=METRICS,
            seen=arguments.seen,
            negatives=arguments.negatives or None,
            batch_size=arguments.batch_size,
        )

    def _teacher_of(self, name: str, place: Place) -> Any:
        return self.teacher(place).model if METHODS[name].teacher or name == "dllm2rec" else None

    def _run(
        self,
        name: str,
        student: SequentialRecommender,
        teacher: Any,
        settings: Mapping[str, Any],
        values: Mapping[str, Any],
        place: Place,
    ) -> tuple[Distilled, Row]:
        task = self.task()
        found = recsys.distil(
            name,
            student,
            teacher,
            self.split,
            task=task,
            seed=self.seed,
            optimizer=adam(lr=values["lr"], weight_decay=values["weight_decay"]),
            epochs=values["epochs"],
            patience=values["patience"],
            metric_every=self.arguments.metric_every,
            **place.options(),
            **settings,
        )
        return found, task.watches[-1].costs()


def protocol(arguments: argparse.Namespace) -> str:
    """How rows are split and judged, in a word."""
    return f"last-{arguments.max_length}-{arguments.seen}"


def options_of(arguments: argparse.Namespace) -> Row:
    """What all trainings depend on."""
    return {name: getattr(arguments, name) for name in ("negatives", "batch_size", "metric_every")}


def values_of(arguments: argparse.Namespace, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a student's training is told: what its method's settings ask for, else the command line."""
    return {**{name: getattr(arguments, name) for name in TRAINING}, **asked}


def teachers_values(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the teacher's training is told."""
    return {**values_of(arguments, {}), "epochs": arguments.teacher_epochs or arguments.epochs}


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """The teacher of every seed, then a student of every method."""
    series = lru_cache(maxsize=2)(partial(Series, arguments))  # that of a seed, and that of searches
    about = {"dataset": arguments.dataset, "split": protocol(arguments), "teacher": arguments.teacher_name}
    shared = {**options_of(arguments), "teacher_dropout": arguments.teacher_dropout}
    shared["teacher_epochs"] = teachers_values(arguments)["epochs"]
    options = {**values_of(arguments, {}), **shared, "dropout": arguments.dropout}
    about |= {"student": arguments.student_name, "options": options}

    def search(name: str, place: Place, **asked: Any) -> Tuned:
        return series(arguments.first_seed).tuned(name, place, **asked)

    settings = Settings(arguments, about, search)

    def measured(found: Any, seed: int, costs: Mapping[str, Any]) -> Iterator[Row]:
        own = series(seed)
        scores = own.task(Sequential).score(found, own.split)
        costs = {**cost(found, own.split), **costs}
        yield from ({"metric": metric, "value": value, **costs} for metric, value in scores.items())

    def teacher(seed: int, place: Place) -> Iterator[Row]:
        found: Any = series(seed).teacher(place)
        return measured(found.model, seed, found.card["costs"])

    def student(name: str, seed: int, chosen: Mapping[str, Any], place: Place) -> Iterator[Row]:
        found, costs = series(seed).student(name, chosen, place)
        validation = found.scores["val"][METRICS[0]]
        return ({"validation": validation, **row} for row in measured(found.model, seed, costs))

    own = {"student": arguments.teacher_name, "options": {**options, "dropout": 0}}
    yield from taught_jobs(arguments, about, settings, teacher, student, own)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    prog = "python -m benchmarks.recsys --task sequential"
    parser = argparse.ArgumentParser(prog=prog, description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    models = f"NAME:WIDTH, {', '.join(MODELS)}"
    add("--dataset", choices=SEQUENCES, default="toys", help="(default: %(default)s)")
    add("--teacher", dest="teacher_name", default="sasrec:64", help=f"{models} (default: %(default)s)")
    add("--student", dest="student_name", default="sasrec:16", help="as the teacher (default: %(default)s)")
    add("--max-length", type=int, help="latest items of a history that are read (20; ml-100k: 50)")
    add("--seen", choices=("ranked", "left_out"), help="a user's earlier items (left_out; ml-100k: ranked, as RecBole)")
    add("--negatives", type=int, help="drawn items of the softmax, one draw a batch; 0: all items (1000; ml-100k: 0)")
    add("--batch-size", type=int, help="users' stretches a batch (256; ml-100k: 32)")
    add("--epochs", type=int, default=TRAINING["epochs"], help="at most (default: %(default)s)")
    add("--teacher-epochs", type=int, help="of the teacher (default: --epochs)")
    add("--patience", type=int, default=TRAINING["patience"], help="epochs without a better validation (%(default)s)")
    add("--metric-every", type=int, default=2, help="epochs between validations (default: %(default)s)")
    add("--lr", type=float, default=TRAINING["lr"], help="of Adam (default: %(default)s)")
    add("--weight-decay", type=float, default=TRAINING["weight_decay"], help="of Adam (default: %(default)s)")
    add("--dropout", type=float, default=0.1, help="of the student (default: %(default)s)")
    add("--teacher-dropout", type=float, default=0.2, help="(default: %(default)s)")
    add_methods(parser, list(METHODS.values()), default="none,kd,rrd,de", groups=GROUPS)
    add_tuning(parser)
    arguments = parser.parse_args(argv)
    for name, value in PROTOCOLS[arguments.dataset].items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    use_methods(parser, arguments, list(METHODS.values()), GROUPS, "sequential")
    try:
        for name in (arguments.student_name, arguments.teacher_name):
            check_model(name)
        _check(arguments)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    """Raise ValueError for models that a method cannot take."""
    student, teacher = arguments.student_name, arguments.teacher_name
    if "emkd" in arguments.methods and not student.startswith("bert4rec:"):
        raise ValueError(f"emkd masks items: say --student bert4rec:WIDTH, got {student}")
    if "slmrec" in arguments.methods and not (student == teacher and student.startswith("sasrec:")):
        raise ValueError(f"slmrec compares blocks of SASRecs of one width, got {teacher} and {student}")


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    measured = collect(list(jobs(arguments)), arguments)
    title = f"{arguments.dataset}, {protocol(arguments)}, {arguments.seeds} seeds"
    show(measured, title, wide=arguments.wide)
    if arguments.plot:
        plot(measured, arguments.plot, title, quality=METRICS[0], latency="milliseconds for 1,000 histories")
    return measured
