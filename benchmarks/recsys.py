"""Compress recommenders: teacher x student x methods x seeds on one dataset.

``python -m benchmarks.recsys --dataset ml-100k --teacher mf:64 --student mf:8 --methods none,rrd,de --seeds 5``

HetComp has two teachers of its own: the benchmark's teacher, trained again, and a LightGCN of its width (MF beside a
LightGCN), each in up to four stages. Their training is not in the student's seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.options import add_options, collect, use_options
from benchmarks.ranking.methods import METHODS, Lesson, Teachers, base_loss, check_tables, method
from benchmarks.ranking.models import MODELS, Data, check_dataset, load, model
from benchmarks.ranking.protocol import Protocol, cost
from benchmarks.ranking.training import Trained, Training
from benchmarks.report import plot, show
from datasets.recommenders import RECOMMENDERS
from graphkd.core.rng import seeded
from recsys.models import Recommender, tables_of

TASKS = ("ranking", "ctr", "ratings")


class Series:
    """The runs of one seed: the teacher, then a student of every method."""

    def __init__(self, arguments: argparse.Namespace, seed: int) -> None:
        self.arguments, self.seed = arguments, seed
        self.data: Data = load(arguments.dataset, arguments.protocol, seed, arguments.data_path)
        self.protocol = Protocol(arguments.protocol, self.data.split)

    def runs(self) -> Iterator[tuple[str, str, Trained]]:
        """(method, model, trained)."""
        arguments = self.arguments
        student, teacher = self._build(arguments.student_name), self._build(arguments.teacher_name)
        check_tables(arguments.methods, student=student, teacher=teacher)
        trained = self._base("teacher", arguments.teacher_name).run()
        yield "teacher", arguments.teacher_name, trained
        fixed = tables_of(trained.model) if trained.model.has_tables else trained.model
        shared = dict[str, Any]()
        for name in arguments.methods:
            with seeded(self.seed):
                student = self._model(arguments.student_name)
                plan = method(name)(Lesson(student, fixed, self.data.train, shared, self.trajectories))
            needs_teacher = any(loss.needs_teacher for _, loss in plan[0].parts())
            options = self.options(name, arguments.student_name)
            training = Training(student, fixed if needs_teacher else None, plan, self.protocol, options)
            yield name, arguments.student_name, training.run()

    def trajectories(self) -> Teachers:
        """The stages of HetComp's teachers."""
        kind, _, width = self.arguments.teacher_name.partition(":")
        other = f"{'mf' if kind.lower() == 'lightgcn' else 'lightgcn'}:{width}"
        return [self._base("hetcomp.teacher", name).stages() for name in (self.arguments.teacher_name, other)]

    def options(self, purpose: str, name: str) -> dict[str, Any]:
        """Of ``fit`` for a run of a model; its folder is DATASET-PURPOSE-MODEL-SEED, purpose being the method."""
        arguments = self.arguments
        adam = partial(torch.optim.Adam, lr=arguments.lr, weight_decay=arguments.weight_decay, fused=True)
        options = {
            "epochs": arguments.epochs,
            "patience": arguments.patience or None,
            "metric_every": arguments.metric_every,
            "optimizer": adam,
            "seed": self.seed,
        }
        if arguments.runs is None:
            return options
        folder = arguments.runs / "-".join((arguments.dataset, purpose, name.replace(":", ""), str(self.seed)))
        return {**options, "checkpoint": folder, "resume": True}

    def _base(self, purpose: str, name: str) -> Training:
        """A model that learns from the training pairs alone."""
        built = self._build(name)
        return Training(built, None, (1.0 * base_loss(built), {}), self.protocol, self.options(purpose, name))

    def _build(self, name: str) -> Recommender:
        with seeded(self.seed):
            return self._model(name)

    def _model(self, name: str) -> Recommender:
        return model(name, self.arguments.dataset, self.arguments.data_path)(self.data)


def rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row a measured value, seed by seed."""
    total = arguments.seeds * (len(arguments.methods) + 1)
    with tqdm(total=total, unit="run", disable=None) as shown:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            series = Series(arguments, seed)
            for name, student, trained in series.runs():
                about = {
                    "dataset": arguments.dataset,
                    "split": arguments.protocol,
                    "teacher": arguments.teacher_name,
                    "student": student,
                    "method": name,
                    "seed": seed,
                }
                costs = {**cost(trained.model), **trained.costs}
                for metric, value in series.protocol.quality(trained.model).items():
                    yield {**about, "metric": metric, "value": value, **costs}
                shown.set_postfix(seed=seed, method=name)
                shown.update()


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recsys", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    names = f"{', '.join(MODELS)} or a general recommender of RecBole"
    add("--task", choices=TASKS, default="ranking", help="ctr: click-through; '--task ctr --help' on it, or ratings")
    add("--dataset", default="ml-100k", help=f"{', '.join(RECOMMENDERS)} (default: %(default)s), or any of --data-path")
    add("--data-path", type=Path, help="folder of RecBole datasets: that of --dataset is NAME/NAME.inter there")
    add("--protocol", choices=("ratio", "full", "loo"), help="default: loo for citeulike-derrd, full for ...-td, ratio")
    add("--teacher", dest="teacher_name", default="mf:64", help=f"NAME:WIDTH, {names} (default: %(default)s)")
    add("--student", dest="student_name", default="mf:8", help="as the teacher (default: %(default)s)")
    add("--epochs", type=int, default=500, help="at most (default: %(default)s)")
    add("--patience", type=int, default=50, help="epochs without a better validation; 0: the last epoch (%(default)s)")
    add("--metric-every", type=int, default=5, help="epochs between validations (default: %(default)s)")
    add("--lr", type=float, default=1e-3, help="of Adam (default: %(default)s)")
    add("--weight-decay", type=float, default=1e-3, help="of Adam, on all parameters (default: %(default)s)")
    add("--runs", type=Path, help="folder of checkpoints: what is trained is not trained again, what stopped goes on")
    groups = {"all": list(METHODS)}
    add_options(parser, list(METHODS), default="none,rrd,de", groups=list(groups))
    arguments = parser.parse_args(argv)
    protocols: Mapping[str, str] = {"citeulike-derrd": "loo", "citeulike-td": "full"}
    arguments.protocol = arguments.protocol or protocols.get(arguments.dataset, "ratio")
    use_options(parser, arguments, groups, method)
    try:
        check_dataset(arguments.dataset, arguments.data_path)
        for name in (arguments.teacher_name, arguments.student_name):
            model(name, arguments.dataset, arguments.data_path)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def _task(argv: list[str] | None) -> tuple[str, list[str] | None]:
    """What is benchmarked, and the arguments of that benchmark."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--task", choices=TASKS, default="ranking")
    found, rest = parser.parse_known_args(argv)
    return found.task, rest


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Run, print the table, write what was asked for; returns the rows."""
    task, rest = _task(argv)
    if task == "ctr":
        from benchmarks import click_through  # loads RecBole's features and models of its own

        return click_through.main(rest)
    if task == "ratings":
        from benchmarks import rating_regression  # which loads RecBole's features too

        return rating_regression.main(rest)
    arguments = parse(rest)
    measured = collect(rows, arguments)
    title = f"{arguments.dataset}, protocol {arguments.protocol}, {arguments.seeds} seeds"
    show(measured, title)
    if arguments.plot:
        plot(measured, arguments.plot, title, quality=measured[0]["metric"], latency="milliseconds for 1,000 users")
    return measured


if __name__ == "__main__":
    main()
