"""Distil a graph classifier without its graphs (GFKD): students of fake, of random and of real graphs.

``python -m benchmarks.graph_free --family shapes --seeds 3``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from torch import nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

from benchmarks.gnn import cost
from benchmarks.graph.classifiers import CONVS, build
from benchmarks.options import parse_run, seeds
from benchmarks.rows import Row, failed
from benchmarks.runs import Job, Place, about, shared_model, tabulate
from datasets.graph_families import FAMILIES, graph_family
from graphkd.core.distilled import Distilled
from graphkd.core.problem import Problem
from graphkd.core.rng import seeded
from graphkd.tasks import GraphClassification

METHODS = ("teacher", "real", "random", "gfkd")
TEMPERATURE = 2.0  # the authors'


def real(problem: Problem, *, student_epochs: int) -> nn.Module:
    """Learn the teacher's answers to the graphs that it was trained on, as GFKD's student learns those to fake ones."""
    falling = partial(LambdaLR, lr_lambda=lambda epoch: 1 - epoch / student_epochs)
    task = problem.distiller(problem.student, problem.teacher, problem.soft(TEMPERATURE))
    return problem.train(task, epochs=student_epochs, weight_decay=0.0, scheduler=falling)


class Scene:
    """Graphs and the teacher of one seed."""

    def __init__(self, arguments: argparse.Namespace, seed: int) -> None:
        self.arguments, self.seed = arguments, seed
        self.split = graph_family(arguments.family, per_class=arguments.per_class, seed=seed)
        self.classes, self.width = len(FAMILIES[arguments.family]), self.split.train[0].num_features
        self.test = Batch.from_data_list(self.split.test)
        self._teacher: Distilled | None = None

    def teacher(self, place: Place) -> Distilled:
        """Five layers of width 64 on real graphs, the best epoch on validation graphs."""
        arguments = self.arguments
        if self._teacher is None:
            known = {"dataset": arguments.family, "split": "random", "kind": arguments.teacher, "seed": self.seed}
            known |= {"per_class": arguments.per_class, "epochs": arguments.teacher_epochs}
            with seeded(self.seed):
                model = build(arguments.teacher, self.width, self.classes, hidden=64, layers=5)
            self._teacher = shared_model(known, model, partial(self._train, model), place, arguments.runs)
        return self._teacher

    def _train(self, model: nn.Module, place: Place) -> tuple[Distilled, Row]:
        task = GraphClassification(val=[Batch.from_data_list(self.split.val)], test=[self.test])
        data = DataLoader(self.split.train, batch_size=32, shuffle=True)
        options = {"epochs": self.arguments.teacher_epochs, "optimizer": partial(Adam, lr=0.005), "seed": self.seed}
        return place.distil("none", model, None, data, task=task, **options)

    def student(self, method: str, place: Place) -> tuple[Distilled, Row]:
        """A student of graphs of one kind, of the same first weights and the same epochs, the last of which counts."""
        arguments, teacher = self.arguments, self.teacher(place).model
        with seeded(self.seed):
            student = build(arguments.student, self.width, self.classes, hidden=32, layers=3)
        task = GraphClassification(test=[self.test])
        settings: dict[str, Any] = {"student_epochs": arguments.student_epochs, "seed": self.seed, "task": task}
        if method == "real":
            data = DataLoader(self.split.train, batch_size=32, shuffle=True)
            return place.distil(real, student, teacher, data, **settings)
        settings |= {"count": arguments.count, "feature_lr": arguments.lr, "bn_weight": arguments.bn_weight}
        settings |= {"entropy_weight": arguments.entropy_weight}
        settings |= {"graph_epochs": arguments.epochs if method == "gfkd" else 0, "temperature": TEMPERATURE}
        return place.distil("gfkd", student, teacher, self.split.train, **settings)


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """The teacher, then a student of each kind of graphs, seed by seed."""
    scene = lru_cache(maxsize=1)(partial(Scene, arguments))
    names = ("per_class", "count", "epochs", "lr", "teacher_epochs", "student_epochs", "bn_weight", "entropy_weight")
    known = {**about(arguments, arguments.family, "random", *names), "teacher": arguments.teacher}

    def run(method: str, seed: int, place: Place) -> Iterator[Row]:
        teacher = scene(seed).teacher(place)
        found, costs = (teacher, teacher.card["costs"]) if method == "teacher" else scene(seed).student(method, place)
        costs = {**costs, **cost(found.model, scene(seed).test)}
        reached, best = (each.scores["test"]["accuracy"] for each in (found, teacher))
        yield {"metric": "accuracy", "value": reached, **costs}
        yield {"metric": "of_teacher", "value": reached / max(best, 1e-12), **costs}

    for seed in seeds(arguments):
        for method in METHODS:
            student = arguments.teacher if method == "teacher" else arguments.student
            yield Job({**known, "student": student, "method": method, "seed": seed}, partial(run, method, seed))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    text = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graph_free", description=text)
    add = parser.add_argument
    add("--family", choices=sorted(FAMILIES), default="shapes", help="default: %(default)s")
    add("--per-class", type=int, default=100, help="real graphs of a class (default: %(default)s)")
    add("--teacher", choices=sorted(CONVS), default="gcn", help="default: %(default)s")
    add("--student", choices=sorted(CONVS), default="gcn", help="default: %(default)s")
    add("--count", type=int, default=131, help="fake graphs (default: %(default)s)")
    add("--epochs", type=int, default=200, help="of making fake graphs (default: %(default)s; published: 1500)")
    add("--lr", type=float, default=0.1, help="of their features (default: %(default)s; published: 0.01)")
    add("--teacher-epochs", type=int, default=50, help="default: %(default)s")
    add("--student-epochs", type=int, default=150, help="default: %(default)s")
    add("--bn-weight", type=float, default=0.01, help="of the BatchNorm statistics (default: %(default)s)")
    add("--entropy-weight", type=float, default=0.01, help="of the features' entropy (default: %(default)s)")
    return parse_run(parser, argv)


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    title = f"without the graphs of {arguments.family}: a student of each kind of graphs"
    return tabulate(arguments, jobs(arguments), title, base="real")


if __name__ == "__main__":
    sys.exit(failed(main()))
