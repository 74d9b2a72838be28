"""Distil a graph classifier without its graphs (GFKD): students of fake, of random and of real graphs.

``python -m benchmarks.graph_free --family shapes --seeds 3``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torch import nn
from torch.optim import Adam
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader
from tqdm import tqdm

from benchmarks.gnn import cost
from benchmarks.graph.classifiers import CONVS, build
from benchmarks.options import add_run_options, check_seeds, collect
from benchmarks.report import Row, show
from datasets.graph_families import FAMILIES, GraphSplit, graph_family
from graphkd import Distiller, fit
from graphkd.core.rng import seeded
from graphkd.gnn import gfkd, invert
from graphkd.losses import CE
from graphkd.tasks import predict


def accuracy(model: nn.Module, graphs: Batch) -> float:
    """Share of graphs whose class the model gets right."""
    return float((predict(model, graphs) == graphs.y).float().mean())


def train_teacher(arguments: argparse.Namespace, split: GraphSplit, classes: int, seed: int) -> nn.Module:
    """Five layers of width 64 on real graphs, the best epoch on validation graphs."""
    with seeded(seed):
        model = build(arguments.teacher, split.train[0].num_features, classes, hidden=64, layers=5)
    return fit(
        Distiller(model, losses=CE()),
        DataLoader(split.train, batch_size=32, shuffle=True),
        epochs=arguments.teacher_epochs,
        optimizer=partial(Adam, lr=0.005),
        metric=partial(accuracy, graphs=Batch.from_data_list(split.val)),
        seed=seed,
    )


def runs(arguments: argparse.Namespace, seed: int) -> Iterator[Row]:
    """The teacher, then a student of each kind of graphs, all with the same first weights and the same epochs."""
    split = graph_family(arguments.family, per_class=arguments.per_class, seed=seed)
    classes, width = len(FAMILIES[arguments.family]), split.train[0].num_features
    test = Batch.from_data_list(split.test)
    started = time.perf_counter()
    teacher = train_teacher(arguments, split, classes, seed)
    best = accuracy(teacher, test)
    yield from _values("teacher", arguments.teacher, teacher, test, best, time.perf_counter() - started)
    sizes = [graph.num_nodes for graph in split.train]
    make = partial(
        invert,
        teacher,
        width,
        classes,
        count=arguments.count,
        nodes=(min(sizes), max(sizes)),
        lr=(arguments.lr, 1.0),
        bn_weight=arguments.bn_weight,
        entropy_weight=arguments.entropy_weight,
        seed=seed,
    )
    sources: dict[str, Callable[[], list[Data]]] = {
        "real": lambda: split.train,
        "random": lambda: make(epochs=0).graphs(),
        "gfkd": lambda: make(epochs=arguments.epochs).graphs(),
    }
    for method, graphs in sources.items():
        started = time.perf_counter()
        with seeded(seed):
            student = build(arguments.student, width, classes, hidden=32, layers=3)
        gfkd(student, teacher, graphs(), epochs=arguments.student_epochs, seed=seed)
        yield from _values(method, arguments.student, student, test, best, time.perf_counter() - started)


def _values(method: str, name: str, model: nn.Module, test: Batch, teacher: float, seconds: float) -> Iterator[Row]:
    about = {"method": method, "student": name, "train_seconds": seconds, **cost(model, test)}
    reached = accuracy(model, test)
    yield {**about, "metric": "accuracy", "value": reached}
    yield {**about, "metric": "of_teacher", "value": reached / max(teacher, 1e-12)}


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """One row a measured value, seed by seed."""
    about = {"dataset": arguments.family, "split": "random", "teacher": arguments.teacher}
    with tqdm(total=4 * arguments.seeds, unit="run", disable=None) as shown:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            for row in runs(arguments, seed):
                yield {**about, "seed": seed, **row}
                shown.set_postfix(seed=seed, method=row["method"], refresh=False)
                shown.update(row["metric"] == "accuracy")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.graph_free", description=(__doc__ or "").splitlines()[0]
    )
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
    add_run_options(parser)
    arguments = parser.parse_args(argv)
    check_seeds(parser, arguments)
    return arguments


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    measured = collect(rows, arguments)
    show(measured, f"without the graphs of {arguments.family}: a student of each kind of graphs")
    return measured


if __name__ == "__main__":
    main()
