"""Compress graph neural networks: teacher x student x methods x seeds on one dataset.

``python -m benchmarks.gnn --dataset cora --split cpf --teacher sage --student mlp --methods none,glnn --seeds 10``

Other tasks and larger graphs: ``--task``, see ``python -m benchmarks.gnn --task link --help``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

import graphkd
from benchmarks import tasks
from benchmarks.graph.models import HIDDEN
from benchmarks.graph.recipes import EPOCHS, TEACHERS
from benchmarks.graph.scene import Scene, options_of, split_name
from benchmarks.measure import peak_memory, timed
from benchmarks.needs import given, has_dropout, lacking, makes_own_student
from benchmarks.options import add_data, add_methods, add_tuning, split_settings, use_methods
from benchmarks.plot import plot
from benchmarks.rows import Row, failed, own_term
from benchmarks.runs import Job, Place, tabulate
from benchmarks.taught import taught_jobs
from benchmarks.tuning import Settings, divided
from datasets import DATASETS
from graphkd.core.batches import changed
from graphkd.core.method import Metadata
from graphkd.core.run import LR, WEIGHT_DECAY
from graphkd.tasks import NodeClassification, accuracy, fidelity, predict

METHODS: Mapping[str, Metadata] = {row.name: row for row in graphkd.methods(task="node_classification")}
_LOSSES = ("response", "features", "relations", "graphs", "information")
_SHARES = 10  # how often in a training the shares of its terms are looked at: a backward pass a term, each
_GROUPS: Mapping[str, Callable[[str], bool]] = {
    "all": lambda _: True,
    "losses": lambda family: family in _LOSSES,
    "graph": lambda family: family == "gnn",
    "schemes": lambda family: family not in (*_LOSSES, "gnn"),
}


class Student(NamedTuple):
    """A trained model, entries of the graph that it reads beside others, and what training took."""

    model: nn.Module
    entries: Mapping[str, Tensor]
    costs: Mapping[str, float]


def own_settings(row: Metadata) -> dict[str, Any]:
    """What may be set of a method's student."""
    return {"dropout": 0.0} if has_dropout(row) else {}


def groups(student: str) -> dict[str, list[str]]:
    """Names for several methods, of those that can be run with a student of this kind; families are such names too."""
    able = [row for row in METHODS.values() if not lacking(row, student)]
    tests = dict(_GROUPS) | {family: family.__eq__ for family in dict.fromkeys(row.family for row in able)}
    return {
        name: list(dict.fromkeys(["none", *(row.name for row in able if test(row.family))]))
        for name, test in tests.items()
    }


def training(row: Metadata, scene: Scene, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Options of ``distil``, see ``values_of``."""
    return options_of(values_of(row, scene, asked))


def values_of(row: Metadata, scene: Scene, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What is of training: the recipe's, but where the method has its paper's, and before both what was asked for."""
    recipe = {} if makes_own_student(row) else scene.training(scene.recipe)
    own = {**row.published, **({"lr": row.settings["lr"], "weight_decay": 0.0} if "lr" in row.settings else {})}
    values = {name: value for name, value in recipe.items() if name not in own}
    if scene.epochs is not None:
        values["epochs"] = scene.epochs
    values |= asked
    if {"lr", "weight_decay"} & values.keys():
        values = {"lr": own.get("lr", LR), "weight_decay": row.published.get("weight_decay", WEIGHT_DECAY), **values}
    return values


def student_of(row: Metadata, scene: Scene, settings: Mapping[str, Any], place: Place) -> Student:
    """Train a student by a method."""
    own, asked = split_settings(row, settings, with_student=has_dropout(row))
    arguments = given(row, scene, place, asked.pop("dropout", None))
    student, teacher = arguments.pop("student"), arguments.pop("teacher")
    entries = {name: arguments[name] for name in ("modality",) if name in arguments}
    options = {**training(row, scene, asked), "seed": scene.seed, "task": scene.task}
    options["shares_every"] = max((options.get("epochs") or row.published.get("epochs", EPOCHS)) // _SHARES, 1)
    found, costs = place.distil(row.name, student, teacher, scene.seen, **{**arguments, **own}, **options)
    chosen = {"validation": found.scores["val"]["accuracy"]} if "val" in found.scores else {}
    return Student(found.model, entries, {**costs, **chosen, **own_term(found.history)})


def tuned(
    row: Metadata, scene: Scene, settings: Mapping[str, Any], fixed: set[str], place: Place, **options: Any
) -> graphkd.Tuned:
    """Search the settings of a method, of its training and of the student, around those that were asked for."""
    own, asked = split_settings(row, settings, with_student=has_dropout(row))
    dropout = asked.pop("dropout", scene.recipe.dropout)
    arguments = given(row, scene, place)
    student, teacher = arguments.pop("student"), arguments.pop("teacher")
    values = values_of(row, scene, asked)
    if has_dropout(row):
        student, values["dropout"] = scene.new_student, dropout
    around, kept = divided(row, own, values, fixed)
    kept |= {name: value for name, value in options_of(values).items() if name != "optimizer"}
    options |= {"seed": scene.seed, "task": scene.task, **around, **arguments, **kept}
    return graphkd.tune(row.name, student, teacher, scene.seen, **options)


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


def quality(model: nn.Module, scene: Scene, whole: Data) -> dict[str, float]:
    """Test accuracy; in the inductive setting on seen, on held-out nodes and 0.8 / 0.2 of both, as GLNN reports."""
    if scene.held_out is None:
        return {"accuracy": accuracy(model, whole)}
    seen = accuracy(model, scene.seen)
    held_out = NodeClassification(evaluate_on=whole, new=scene.held_out).scores(model, scene.seen)["new"]["accuracy"]
    return {"accuracy": 0.8 * seen + 0.2 * held_out, "accuracy_tran": seen, "accuracy_ind": held_out}


def measured(scene: Scene, student: Student, place: Place) -> Iterator[Row]:
    """Quality, faithfulness to the teacher and costs of a model."""
    whole, model = changed(scene.whole, **student.entries) if student.entries else scene.whole, student.model
    scores = quality(model, scene, whole) | fidelity(model, scene.teacher(place).model, whole)._asdict()
    costs = {**cost(model, whole), **student.costs}
    yield from ({"metric": metric, "value": value, **costs} for metric, value in scores.items())


Measure = Callable[[Scene, Student, Place], Iterable[Row]]


def jobs(arguments: argparse.Namespace, measure: Measure = measured, **about: Any) -> Iterator[Job]:
    """The teacher of every seed, then a student of every method; ``about``: what else their rows depend on."""
    names = ("student", "teacher", "split", "split_seed", "inductive", "epochs", "runs")
    known = {name: getattr(arguments, name, None) for name in names}
    scene = lru_cache(maxsize=2)(partial(Scene, arguments.dataset, **known))  # that of a seed, and that of searches
    about = {
        "dataset": arguments.dataset,
        "split": split_name(arguments.dataset, arguments.split),
        "setting": "inductive" if known["inductive"] else "transductive",
        "teacher": arguments.teacher,
        "student": arguments.student,
        **about,
    }
    options = {name: known[name] for name in ("epochs", "split_seed") if known[name] is not None}

    def search(name: str, place: Place, **asked: Any) -> graphkd.Tuned:
        first, given = scene(arguments.first_seed), arguments.given[name]
        return tuned(METHODS[name], first, given, arguments.fixed[name], place, **asked)

    about |= {"options": options}
    settings = Settings(arguments, about, search)

    def teacher(seed: int, place: Place) -> Iterable[Row]:
        found = scene(seed).teacher(place)
        return measure(scene(seed), Student(found.model, {}, found.card["costs"]), place)

    def student(name: str, seed: int, chosen: Mapping[str, Any], place: Place) -> Iterable[Row]:
        return measure(scene(seed), student_of(METHODS[name], scene(seed), chosen, place), place)

    yield from taught_jobs(arguments, about, settings, teacher, student, {"student": arguments.teacher})


def add_models(parser: argparse.ArgumentParser, *, teacher: str) -> None:
    """Dataset, teacher and student."""
    add = parser.add_argument
    add_data(parser, DATASETS, "digits")
    add("--teacher", choices=sorted(TEACHERS), default=teacher, help="default: %(default)s")
    add("--student", choices=sorted(HIDDEN), default="mlp", help="default: %(default)s")
    add("--epochs", type=int, help="at most (default: the recipe's, 200)")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gnn", description=(__doc__ or "").splitlines()[0])
    add_models(parser, teacher="sage")
    parser.add_argument("--inductive", action="store_true", help="hold a fifth of the test nodes out of training")
    parser.add_argument("--task", metavar="TASK", help="another task, with options of its own: see --task link --help")
    parser.add_argument("--split-seed", type=int, help="of every split (default: each run's own seed)")
    add_methods(parser, list(METHODS.values()), default="none,kd,glnn", groups=groups("mlp"))
    add_tuning(parser)
    arguments = parser.parse_args(argv)
    rows, named = list(METHODS.values()), groups(arguments.student)
    use_methods(parser, arguments, rows, named, arguments.teacher, student=own_settings)
    return arguments


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    if any(text.partition("=")[0] == "--task" for text in (sys.argv[1:] if argv is None else argv)):
        return tasks.main(argv)
    arguments = parse(argv)
    title = f"{arguments.dataset}, seeds {arguments.first_seed} to {arguments.first_seed + arguments.seeds - 1}"
    rows = tabulate(arguments, jobs(arguments), title)
    if set(groups(arguments.student)["losses"]) <= set(arguments.methods):
        for row in METHODS.values():
            if row.name not in arguments.methods and lacking(row, arguments.student):
                print(f"Not in the table: {row.name} needs {lacking(row, arguments.student)}")
    if arguments.plot:
        plot(rows, arguments.plot, title)
    return rows


if __name__ == "__main__":
    sys.exit(failed(main()))
