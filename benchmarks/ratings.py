"""Distil models of ratings: a wide network on users and items into a narrow one, by root-mean-square error.

``python -m benchmarks.ratings --dataset ml-100k --methods none,regression,attentive,hinted --seeds 5``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.measure import peak_memory, timed
from benchmarks.options import add_options, keep, use_options
from benchmarks.report import Row, show
from datasets.clicks import CLICKS, load_clicks
from graphkd import Cached, Distiller, Frozen, Loss, fit
from graphkd.core.rng import seeded
from graphkd.losses import FeatureDistance, TeacherBounded
from graphkd.schemes import TaskHeads, attentive_student, outlier_rejecting_student, told
from recsys.clicks import FieldEmbedding
from recsys.rows import RowBatches, Rows

FIELDS, HINTED = ("user_id", "item_id"), 32  # the width of the hidden layer of both models
SQUARES = FeatureDistance("l2", on="logits")


class RatingNet(nn.Module):
    """Embeddings of user and item, a hidden layer and a rating: ``user_id``, ``item_id`` (N,) -> (N, 1)."""

    def __init__(self, rows: Rows, width: int, mean: float) -> None:
        super().__init__()
        self.embedding = FieldEmbedding({name: rows.fields[name] for name in FIELDS}, width, std=0.1)
        self.hidden, self.last = nn.Linear(len(FIELDS) * width, HINTED), nn.Linear(HINTED, 1)
        nn.init.constant_(self.last.bias, mean)

    def forward(self, user_id: Tensor, item_id: Tensor) -> Tensor:
        """See the class."""
        shown = self.embedding({"user_id": user_id, "item_id": item_id})
        rating: Tensor = self.last(self.hidden(shown).relu())
        return rating


class Lesson(NamedTuple):
    """A student, its teacher's view of all rows, batches of the training rows, and options of ``fit``."""

    student: nn.Module
    teacher: Frozen
    batches: RowBatches
    options: dict[str, Any]


def _on_targets(lesson: Lesson) -> nn.Module:
    """The student alone."""
    return fit(Distiller(lesson.student, told("y"), SQUARES), lesson.batches, **lesson.options)


def _beside_targets(loss: Loss, lesson: Lesson) -> nn.Module:
    return fit(Distiller(lesson.student, lesson.teacher, loss), lesson.batches, **lesson.options)


def _regression(lesson: Lesson) -> nn.Module:
    """The teacher's ratings alone."""
    return _beside_targets(SQUARES, lesson)


def _attentive(lesson: Lesson, taps: tuple[str, str] | None = None) -> nn.Module:
    return attentive_student(lesson.student, lesson.teacher, lesson.batches, taps=taps, **lesson.options)


def _outliers(lesson: Lesson) -> nn.Module:
    """A second head on the hidden layer, for the teacher."""
    with seeded(lesson.options["seed"]):
        student = TaskHeads(lesson.student, "hidden", {"imitation": nn.Linear(HINTED, 1)})
    outlier_rejecting_student(student, lesson.teacher, lesson.batches, threshold=2.0, **lesson.options)
    return lesson.student.eval()


METHODS: dict[str, Callable[[Lesson], nn.Module]] = {
    "none": _on_targets,
    "regression": _regression,
    "bounded": partial(_beside_targets, TeacherBounded()),
    "attentive": _attentive,
    "hinted": partial(_attentive, taps=("hidden", "hidden")),
    "outlier_rejection": _outliers,
}


def root_mean_square(model: nn.Module, rows: Rows, ids: Tensor) -> float:
    """The error of ratings of some rows."""
    batch = rows.take(ids)
    return float((Frozen(model)(batch)["logits"] - batch["y"]).square().mean().sqrt())


def runs(arguments: argparse.Namespace, seed: int) -> Iterator[tuple[str, nn.Module, float, Rows]]:
    """The teacher of one seed, then a student by every method."""
    columns = (clicks := load_clicks(arguments.dataset, seed=seed).rows).columns
    kept = {name: columns[name] for name in FIELDS} | {"y": columns["rating"].float()[:, None]}
    rows = Rows(kept, {name: clicks.fields[name] for name in FIELDS}, clicks.train, clicks.valid, clicks.test)
    mean, batches = float(kept["y"][rows.train].mean()), RowBatches(rows, rows.train, batch_size=arguments.batch_size)
    options: dict[str, Any] = {"epochs": arguments.epochs, "patience": 10, "seed": seed}
    options["optimizer"] = partial(torch.optim.Adam, lr=arguments.lr, weight_decay=arguments.weight_decay)

    def measure(model: nn.Module) -> float:
        shown = model.model if isinstance(model, TaskHeads) else model
        return -root_mean_square(shown, rows, rows.valid)

    options["metric"] = measure
    with seeded(seed):
        teacher = RatingNet(rows, arguments.teacher, mean)
    started = time.perf_counter()
    _on_targets(Lesson(teacher, told("y"), batches, options))
    yield "teacher", teacher, time.perf_counter() - started, rows
    known = Cached(teacher, rows.take())
    for name in arguments.methods:
        with seeded(seed):
            student = RatingNet(rows, arguments.student, mean)
        started = time.perf_counter()
        trained = METHODS[name](Lesson(student, known, batches, options))
        yield name, trained, time.perf_counter() - started, rows


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """One row a measured value, seed by seed."""
    total = arguments.seeds * (len(arguments.methods) + 1)
    with tqdm(total=total, unit="run", disable=None) as shown:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            for name, model, seconds, data in runs(arguments, seed):
                forward = partial(Frozen(model), data.take(data.test))
                width = arguments.teacher if name == "teacher" else arguments.student
                yield {
                    "dataset": arguments.dataset,
                    "split": "8:1:1",
                    "teacher": f"net:{arguments.teacher}",
                    "student": f"net:{width}",
                    "method": name,
                    "seed": seed,
                    "metric": "rmse",
                    "value": root_mean_square(model, data, data.test),
                    "parameters": sum(p.numel() for p in model.parameters()),
                    "latency_ms": sorted(timed(forward, 5))[2] * 1e3,
                    "peak_memory_mb": peak_memory(forward) / 2**20,
                    "train_seconds": seconds,
                }
                shown.update()


def _check(name: str) -> None:
    if name not in METHODS:
        raise ValueError(f"a method must be one of {', '.join(METHODS)}, got {name!r}")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ratings", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--dataset", choices=sorted(CLICKS), default="ml-100k", help="default: %(default)s, which needs RecBole")
    add("--teacher", type=int, default=64, help="width of its embeddings (default: %(default)s)")
    add("--student", type=int, default=4, help="width of its embeddings (default: %(default)s)")
    add("--epochs", type=int, default=60, help="at most (default: %(default)s)")
    add("--batch-size", type=int, default=4096, help="default: %(default)s")
    add("--lr", type=float, default=5e-3, help="of Adam (default: %(default)s)")
    add("--weight-decay", type=float, default=1e-4, help="default: %(default)s")
    add_options(parser, list(METHODS), default="none,regression,attentive", groups=("all",))
    arguments = parser.parse_args(argv)
    use_options(parser, arguments, {"all": list(METHODS)}, _check)
    return arguments


def main(argv: list[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    measured = keep(rows(arguments), arguments.out)
    show(measured, f"{arguments.dataset}, seeds {arguments.first_seed} to {arguments.first_seed + arguments.seeds - 1}")
    return measured


if __name__ == "__main__":
    main()
