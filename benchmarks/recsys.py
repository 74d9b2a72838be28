"""Compress recommenders: teacher x student x methods x seeds on one dataset.

``python -m benchmarks.recsys --dataset ml-100k --teacher mf:64 --student mf:8 --methods none,rrd,de --seeds 5``

HetComp has two teachers of its own: the benchmark's teacher, trained again, and a LightGCN of its width (MF beside a
LightGCN), each in up to four stages. Their training is not in the student's seconds. LightGNN is for ``--teacher
lightgcn:32 --student lightgcn:32``, and in no group.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

import recsys
from benchmarks.options import add_methods, add_tuning, split_settings, use_methods
from benchmarks.ranking.models import MODELS, OF_LIGHTGCN, Data, check_dataset, check_propagations, load, model
from benchmarks.ranking.own_interactions import add_own_data, own_data
from benchmarks.ranking.timing import TimedRanking, cost
from benchmarks.report import plot, show
from benchmarks.rows import Row, failed
from benchmarks.runs import Job, Place, collect, shared_model
from benchmarks.taught import taught_jobs
from benchmarks.tuning import Settings, divided
from datasets.recommenders import RECOMMENDERS
from graphkd import Tuned
from graphkd.core.adam import adam
from graphkd.core.distilled import Distilled
from graphkd.core.method import Metadata
from graphkd.core.rng import seeded
from recsys import Interactions, Split
from recsys.distil import check_tables
from recsys.models import Recommender
from recsys.models.own_loss import is_fitted
from recsys.tasks import Ranking

OTHERS = {"ctr": "click_through", "ratings": "rating_regression", "sequential": "sequential"}  # loaded when asked for
TASKS = ("ranking", *OTHERS)
METHODS: Mapping[str, Metadata] = {row.name: row for row in recsys.methods(task="ranking")}
GROUPS = {
    "all": ["none", *(name for name in METHODS if name not in ("none", *OF_LIGHTGCN))],
    **{family: [row.name for row in METHODS.values() if row.family == family] for family in ("lists", "tables")},
}
CUTOFFS = (10, 20, 50)
COSTS = ("train_seconds", "sampling_seconds", "gradient_seconds", "epochs")  # of a training, see ``Stopwatch``
TRAINING = {"epochs": 500, "patience": 50, "lr": 1e-3, "weight_decay": 1e-3}


def task_of(protocol: str, kind: Any = TimedRanking) -> Any:
    """How models are judged: by full ranking at 10 ("ratio"), or at 10, 20, 50 ("full"), by leave-one-out ("loo")."""
    if protocol == "loo":
        return kind(protocol="leave_one_out")
    cutoffs = CUTOFFS if protocol == "full" else CUTOFFS[:1]
    return kind(metrics=tuple(f"{kind}@{k}" for kind in ("ndcg", "recall") for k in cutoffs))


class Series:
    """The runs of one seed: the teacher, then a student of every method."""

    def __init__(self, arguments: argparse.Namespace, seed: int) -> None:
        self.arguments, self.seed = arguments, seed
        own, drawn = arguments.own, seed if arguments.split_seed is None else arguments.split_seed
        known = partial(load, arguments.dataset, arguments.protocol, drawn, arguments.data_path)
        self.data: Data = known() if own is None else Data(own.split_of(drawn))
        self._teacher: Distilled | None = None

    @property
    def split(self) -> Split:
        """Training, validation and test pairs."""
        return self.data.split

    def build(self, name: str) -> Recommender:
        """A model with weights of the seed."""
        with seeded(self.seed):
            return self._new(name)

    def _new(self, name: str) -> Recommender:
        return model(name, self.arguments.dataset, self.arguments.data_path)(self.data)

    def teacher(self, place: Place) -> Distilled:
        """The teacher, which learns the training pairs; the runs of a seed share it."""
        if self._teacher is None:
            arguments = self.arguments
            built = self.build(arguments.teacher_name)
            if is_fitted(getattr(built, "model", built)):  # EASE, ItemKNN: the training pairs are in it
                self._teacher = Distilled(built.eval(), {}, "none", card={"costs": dict.fromkeys(COSTS, 0)})
                return self._teacher
            about = {"dataset": arguments.dataset, "split": arguments.protocol, "kind": arguments.teacher_name}
            asked = {} if arguments.teacher_lr is None else {"lr": arguments.teacher_lr}
            about |= {"seed": self.seed, **values_of(arguments, asked), **about_data(arguments)}
            train = partial(self._run, "none", built, None, asked)
            self._teacher = shared_model(about, built, train, place, arguments.runs)
        return self._teacher

    def student(self, name: str, settings: Mapping[str, Any], place: Place) -> tuple[Distilled, Row]:
        """A student of a method, and what its training cost."""
        given = {**self._further(name), **settings}
        return self._run(name, self.build(self.arguments.student_name), self._teacher_of(name, place), given, place)

    def tuned(self, name: str, place: Place, **options: Any) -> Tuned:
        """Search the settings of a method and of its training, around those that were asked for."""
        arguments, row = self.arguments, METHODS[name]
        own, asked = split_settings(row, arguments.given[name])
        values = values_of(arguments, asked)
        if not values["patience"]:
            raise ValueError(f"'--tune' chooses by validation, and {name!r} is trained without, by a patience of 0")
        around, kept = divided(row, own, values, arguments.fixed[name])
        kept |= {
            "task": task_of(arguments.protocol, Ranking),
            "seed": self.seed,
            "metric_every": arguments.metric_every,
        }
        kept |= {"epochs": values["epochs"], "patience": values["patience"], **self._further(name)}
        student, teacher = partial(self._new, arguments.student_name), self._teacher_of(name, place)
        return recsys.tune(name, student, teacher, self.split, **around, **kept, **options)

    def _teacher_of(self, name: str, place: Place) -> Any:
        return self.teacher(place).model if METHODS[name].teacher else None

    def _further(self, name: str) -> dict[str, Any]:
        return {"teachers": self.hetcomp_teachers()} if name == "hetcomp" else {}

    def hetcomp_teachers(self) -> list[Recommender]:
        """Two models that HetComp trains itself."""
        return [self.build(name) for name in (self.arguments.teacher_name, beside(self.arguments.teacher_name))]

    def _run(
        self, name: str, student: Recommender, teacher: Any, given: Mapping[str, Any], place: Place
    ) -> tuple[Distilled, Row]:
        settings, asked = split_settings(METHODS[name], given)
        values = values_of(self.arguments, asked)
        split, task = self.split, task_of(self.arguments.protocol)
        if not values["patience"]:  # nothing is validated, and the last epoch counts
            split = replace(split, valid=nobody(split.valid))
        found = recsys.distil(
            name,
            student,
            teacher,
            split,
            task=task,
            seed=self.seed,
            optimizer=adam(lr=values["lr"], weight_decay=values["weight_decay"]),
            epochs=values["epochs"],
            patience=values["patience"] or None,
            metric_every=self.arguments.metric_every,
            **place.options(),
            **settings,
        )
        return found, task.watches[-1].costs()


def beside(teacher: str) -> str:
    """The model of another kind and the same width that HetComp has beside a teacher; ValueError for one without."""
    kind, _, width = teacher.partition(":")
    if not width:
        raise ValueError(
            f"'hetcomp' trains a second teacher of the first one's width: name one, as mf:64, got {teacher!r}"
        )
    return f"{'mf' if kind.lower() == 'lightgcn' else 'lightgcn'}:{width}"


def values_of(arguments: argparse.Namespace, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a training is told: what a method's settings ask for, else the command line, else the defaults."""
    known = {name: getattr(arguments, name) for name in TRAINING}
    return {**TRAINING, **{name: value for name, value in known.items() if value is not None}, **asked}


def about_data(arguments: argparse.Namespace) -> Row:
    """What results depend on of files of one's own, and of a split that all seeds share."""
    drawn = {} if arguments.split_seed is None else {"split_seed": arguments.split_seed}
    return drawn | ({} if arguments.own is None else arguments.own.about())


def nobody(pairs: Interactions) -> Interactions:
    """No pairs of the same users and items."""
    none = torch.zeros(0, dtype=torch.long)
    return Interactions.from_pairs(none, none, pairs.num_users, pairs.num_items, padding=pairs.padding)


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """The teacher of every seed, then a student of every method."""
    series = lru_cache(maxsize=2)(partial(Series, arguments))  # that of a seed, and that of searches
    about = {"dataset": arguments.dataset, "split": arguments.protocol, "teacher": arguments.teacher_name}
    options = {**values_of(arguments, {}), "metric_every": arguments.metric_every, **about_data(arguments)}
    options |= {} if arguments.teacher_lr is None else {"teacher_lr": arguments.teacher_lr}
    about |= {"student": arguments.student_name, "options": options}

    def search(name: str, place: Place, **asked: Any) -> Tuned:
        return series(arguments.first_seed).tuned(name, place, **asked)

    settings = Settings(arguments, about, search)

    def measured(found: Recommender, seed: int, costs: Mapping[str, Any]) -> Iterator[Row]:
        scores = task_of(arguments.protocol).score(found, series(seed).split)
        costs = {**cost(found), **costs}
        yield from ({"metric": metric, "value": value, **costs} for metric, value in scores.items())

    def teacher(seed: int, place: Place) -> Iterator[Row]:
        found: Any = series(seed).teacher(place)
        return measured(found.model, seed, found.card["costs"])

    def student(name: str, seed: int, chosen: Mapping[str, Any], place: Place) -> Iterator[Row]:
        found, costs = series(seed).student(name, chosen, place)
        trained: Any = found.model
        return measured(trained, seed, costs)

    yield from taught_jobs(arguments, about, settings, teacher, student, {"student": arguments.teacher_name})


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recsys", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    names = f"{', '.join(MODELS)} or a general recommender of RecBole"
    add("--task", choices=TASKS, default="ranking", help="ctr: click-through; '--task ctr --help' on it, or ratings")
    add("--dataset", default="ml-100k", help=f"{', '.join(RECOMMENDERS)} (default: %(default)s), or any of --data-path")
    add("--data-path", type=Path, help="folder of RecBole datasets: that of --dataset is NAME/NAME.inter there")
    add("--protocol", choices=("ratio", "full", "loo"), help="default: loo for citeulike-derrd, full for ...-td, ratio")
    add_own_data(parser)
    add("--split-seed", type=int, help="of every split that is drawn (default: each run's own seed)")
    add("--teacher", dest="teacher_name", default="mf:64", help=f"NAME:WIDTH, {names}, or its NAME (%(default)s)")
    add("--student", dest="student_name", default="mf:8", help="as the teacher (default: %(default)s)")
    add("--epochs", type=int, help=f"at most (default: {TRAINING['epochs']})")
    add("--patience", type=int, help=f"epochs without a better validation; 0: the last epoch ({TRAINING['patience']})")
    add("--metric-every", type=int, default=5, help="epochs between validations (default: %(default)s)")
    add("--lr", type=float, help=f"of Adam (default: {TRAINING['lr']:g})")
    add("--teacher-lr", type=float, help="of the teacher's Adam (default: that of the student)")
    add("--weight-decay", type=float, help=f"of Adam, on all parameters (default: {TRAINING['weight_decay']:g})")
    add_methods(parser, list(METHODS.values()), default="none,rrd,de", groups=GROUPS)
    add_tuning(parser)
    arguments = parser.parse_args(argv)
    protocols: Mapping[str, str] = {"citeulike-derrd": "loo", "citeulike-td": "full"}
    arguments.protocol = arguments.protocol or protocols.get(arguments.dataset, "ratio")
    kinds = [name.partition(":")[0].lower() for name in (arguments.teacher_name, arguments.student_name)]
    try:
        arguments.own = own_data(arguments)
        arguments.dataset = arguments.dataset if arguments.own is None else arguments.own.name
        use_methods(parser, arguments, list(METHODS.values()), GROUPS, ("ranking", "-".join(kinds)))
        _check(arguments)
    except (ValueError, TypeError, ImportError, OSError) as error:
        parser.error(str(error))
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    """Raise an error for a dataset or a model that there is not, and for models that a method cannot take."""
    if arguments.own is None:
        check_dataset(arguments.dataset, arguments.data_path)
    models = {"student": arguments.student_name, "teacher": arguments.teacher_name}
    for name in models.values():
        model(name, arguments.dataset, arguments.data_path)
    if "hetcomp" in arguments.methods:
        beside(arguments.teacher_name)
    check_propagations(arguments.methods, **models)
    if any(name.partition(":")[0] not in ("mf", "lightgcn") for name in models.values()):
        series = Series(arguments, arguments.first_seed)
        check_tables(arguments.methods, **{side: series.build(name) for side, name in models.items()})


def _task(argv: Sequence[str] | None) -> tuple[str, list[str]]:
    """What is benchmarked, and the arguments of that benchmark."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--task", choices=TASKS, default="ranking")
    found, rest = parser.parse_known_args(argv)
    return found.task, rest


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    task, rest = _task(argv)
    if task in OTHERS:
        found: list[Row] = import_module(f"benchmarks.{OTHERS[task]}").main(rest)
        return found
    arguments = parse(rest)
    measured = collect(list(jobs(arguments)), arguments)
    title = f"{arguments.dataset}, protocol {arguments.protocol}, {arguments.seeds} seeds"
    show(measured, title, wide=arguments.wide)
    if arguments.plot:
        quality = task_of(arguments.protocol).wanted[0]
        plot(measured, arguments.plot, title, quality=quality, latency="milliseconds for 1,000 users")
    return measured


if __name__ == "__main__":
    sys.exit(failed(main()))
