"""Compress graph neural networks: teacher x student x methods x seeds on one dataset.

``python -m benchmarks.gnn --dataset cora --split cpf --teacher sage --student mlp --methods none,glnn --seeds 10``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from tqdm import tqdm

from benchmarks.graph.lessons import Lesson, Train
from benchmarks.graph.losses import LEFT_OUT, LOSSES
from benchmarks.graph.methods import GROUPS, METHODS, method
from benchmarks.graph.models import HIDDEN, build
from benchmarks.graph.recipes import TEACHERS, Recipe, student_recipe
from benchmarks.measure import counted_steps, peak_memory, timed
from benchmarks.options import add_options, collect, use_options
from benchmarks.report import plot, show
from datasets import DATASETS, load
from graphkd import Distiller, fit
from graphkd.core.rng import seeded
from graphkd.losses import CE
from graphkd.tasks import accuracy, fidelity, hold_out, predict


@dataclass(frozen=True)
class Run:
    """One trained model: who it is, and what training it took."""

    method: str
    seed: int
    model: nn.Module
    train_seconds: float
    step_ms: float  # of an optimiser's step, validation after it included: an epoch of a full batch


@dataclass(frozen=True)
class Setting:
    """A dataset as one seed sees it: the graph that training sees, the whole one, and the nodes held out of it."""

    seen: Data
    whole: Data
    held_out: Tensor | None

    @classmethod
    def of(cls, data: Data, seed: int, inductive: bool) -> Setting:
        """Transductive (training sees every node), or with a fifth of the test nodes held out."""
        if not inductive:
            return cls(data, data, None)
        seen, held_out = hold_out(data, seed=seed)
        return cls(seen, data, held_out)

    def scores(self, model: nn.Module) -> dict[str, float]:
        """Test accuracy; in the inductive setting on seen, on held-out nodes and 0.8 / 0.2 of both, as GLNN reports."""
        if self.held_out is None:
            return {"accuracy": accuracy(model, self.whole)}
        seen = accuracy(model, self.seen)
        held_out = accuracy(model, {**self.whole.to_dict(), "held_out": self.held_out}, "held_out")
        return {"accuracy": 0.8 * seen + 0.2 * held_out, "accuracy_tran": seen, "accuracy_ind": held_out}


def train(
    recipe: Recipe, model: str, data: Data, seed: int, *, epochs: int | None, how: Any
) -> tuple[nn.Module, float, float]:
    """Build a model and train it with ``how(model, options)``; the model, the seconds, milliseconds a step."""
    options = recipe.options(seed) | ({} if epochs is None else {"epochs": epochs})
    with seeded(seed):
        built = build(model, data.num_features, int(data.y.max()) + 1, hidden=recipe.hidden, dropout=recipe.dropout)
    started = time.perf_counter()
    with counted_steps() as steps:
        trained = how(built, options)
    seconds = time.perf_counter() - started
    return trained, seconds, 1e3 * seconds / max(steps(), 1)


def runs(
    arguments: argparse.Namespace, setting: Setting, seed: int, methods: Mapping[str, Train] = METHODS
) -> Iterator[Run]:
    """The teacher of one seed, then a student of every method."""
    data = setting.seen
    validate = partial(accuracy, data=data, mask="val_mask")
    supervised = CE(where="train_mask")
    teacher, *spent = train(
        TEACHERS[arguments.teacher],
        arguments.teacher,
        data,
        seed,
        epochs=arguments.epochs,
        how=lambda model, options: fit(Distiller(model, losses=supervised), data, metric=validate, **options),
    )
    yield Run("teacher", seed, teacher, *spent)
    hidden, about = (HIDDEN[arguments.student], HIDDEN[arguments.teacher]), (arguments.teacher, arguments.dataset)
    for name in arguments.methods:
        distil = methods[name]
        student, *spent = train(
            student_recipe(arguments.student, arguments.dataset),
            arguments.student,
            data,
            seed,
            epochs=arguments.epochs,
            how=lambda model, options, distil=distil: distil(
                Lesson(model, teacher, data, hidden, {**options, "metric": validate}, about)
            ),
        )
        yield Run(name, seed, student, *spent)


@torch.no_grad()
def cost(model: nn.Module, data: Data) -> dict[str, float]:
    """Parameters, and time and memory of classifying every node of the graph."""
    forward = partial(predict, model, data)
    forward()
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "latency_ms": sorted(timed(forward, 5))[2] * 1e3,
        "peak_memory_mb": peak_memory(forward) / 2**20,
    }


def rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row a measured value, seed by seed."""
    total = arguments.seeds * (len(arguments.methods) + 1)
    with tqdm(total=total, unit="run", disable=None) as shown:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            drawn = seed if arguments.split_seed is None else arguments.split_seed
            data = load(arguments.dataset, split=arguments.split, seed=drawn)
            setting = Setting.of(data, seed, arguments.inductive)
            teacher: nn.Module | None = None
            for run in runs(arguments, setting, seed):
                teacher = teacher or run.model  # the first to come
                scores = {**setting.scores(run.model), **fidelity(run.model, teacher, setting.whole)._asdict()}
                spent = {"train_seconds": run.train_seconds, "step_ms": run.step_ms}
                costs = {**cost(run.model, setting.whole), **spent}
                yield from _values(arguments, run, scores, costs)
                shown.set_postfix(seed=seed, method=run.method)
                shown.update()


def _values(
    arguments: argparse.Namespace, run: Run, scores: Mapping[str, float], costs: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    about = {
        "dataset": arguments.dataset,
        "split": arguments.split or next(iter(DATASETS[arguments.dataset])),
        "setting": "inductive" if arguments.inductive else "transductive",
        "teacher": arguments.teacher,
        "student": arguments.teacher if run.method == "teacher" else arguments.student,
        "method": run.method,
        "seed": run.seed,
    }
    for metric, value in scores.items():
        yield {**about, "metric": metric, "value": value, **costs}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gnn", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", choices=sorted(DATASETS), default="digits", help="default: %(default)s, embedded")
    parser.add_argument("--split", help="a split of the dataset (default: its first; 'public' or 'cpf' for Cora)")
    parser.add_argument("--teacher", choices=sorted(TEACHERS), default="sage", help="default: %(default)s")
    parser.add_argument("--student", choices=sorted(HIDDEN), default="mlp", help="default: %(default)s")
    parser.add_argument("--inductive", action="store_true", help="hold a fifth of the test nodes out of training")
    parser.add_argument("--split-seed", type=int, help="of every split (default: each run's own seed)")
    parser.add_argument("--epochs", type=int, help="at most (default: the recipe's, 200)")
    add_options(parser, list(METHODS), default="none,kd,glnn", groups=list(GROUPS))
    arguments = parser.parse_args(argv)
    use_options(parser, arguments, GROUPS, method)
    return arguments


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    measured = collect(rows, arguments)
    title = f"{arguments.dataset}, seeds {arguments.first_seed} to {arguments.first_seed + arguments.seeds - 1}"
    show(measured, title)
    if set(LOSSES) <= set(arguments.methods):
        print("Not in the table:", "; ".join(f"{name} needs {reason}" for name, reason in LEFT_OUT.items()))
    if arguments.plot:
        plot(measured, arguments.plot, title)
    return measured


if __name__ == "__main__":
    main()
