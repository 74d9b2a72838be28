"""Compress models of further tasks: several labels a node, graphs, numbers of graphs, links, heterogeneous graphs.

``python -m benchmarks.gnn --task link --dataset cora --teacher sage --student mlp --methods none,kd --seeds 5``; large
graphs of nodes are ``--task node --dataset wordnet --inductive --batch 4096``. Data of one's own are a class of PyG's
or files: ``--task node --dataset torch_geometric.datasets:Flickr``, ``--task node --data graph.npz --split random``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import torch

import graphkd
from benchmarks.graph.own_data import add_own_data, own_data
from benchmarks.graph.scene import options_of
from benchmarks.graph.task_models import MODELS, layers_of
from benchmarks.graph.task_scenes import KINDS, SETS, TaskScene
from benchmarks.measure import timed
from benchmarks.options import add_methods, add_tuning, split_settings, use_methods
from benchmarks.plot import plot
from benchmarks.rows import Row, failed
from benchmarks.runs import Job, Place, tabulate
from benchmarks.taught import taught_jobs
from benchmarks.tuning import Settings, divided
from graphkd.core.batches import first_batch
from graphkd.core.distilled import Distilled
from graphkd.core.method import Metadata
from graphkd.tasks.metrics import answers

OWN_STUDENTS = ("nosmog",)  # of graphs of nodes, which read more of a node than its features
GIVEN = ("hidden", "edges", "whole graph", "feature student")  # needs that scenes meet
OF_TASKS = {"graph": ("layers",)}  # and those that scenes of one task meet


def methods_of(task: str) -> dict[str, Metadata]:
    """The methods that serve a task and need nothing that its scene does not have."""
    found = graphkd.methods(task=KINDS[task])
    own = OWN_STUDENTS if task == "node" else ()
    return {
        row.name: row
        for row in found
        if set(row.needs) <= {*GIVEN, *OF_TASKS.get(task, ())} and ("student" not in row.cannot or row.name in own)
    }


def own_settings(row: Metadata) -> dict[str, Any]:
    """What may be set of a method's student."""
    return {} if row.name in OWN_STUDENTS else {"dropout": 0.0}


@torch.no_grad()
def latency_of(found: Distilled, scene: TaskScene) -> Row:
    """The milliseconds in which a model answers the first batch of what it is trained on."""
    batch = first_batch(scene.task.prepare(scene.data))
    ask = partial(answers, found.model, batch, scene.task.call(None))
    ask()
    return {"latency_ms": 1e3 * sorted(timed(ask, 5))[2]}


def measured(found: Distilled, scene: TaskScene, costs: Row) -> Iterator[Row]:
    """A row a score: those of test rows under their names, of new nodes with ``_new`` behind."""
    about: Row = {"parameters": sum(p.numel() for p in found.model.parameters())}
    if "latency_ms" not in costs:
        about |= latency_of(found, scene)
    for part, end in (("test", ""), ("new", "_new"), ("val", "_val")):
        for metric, value in found.scores.get(part, {}).items():
            yield {"metric": metric + end, "value": value, **about, **costs}


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """The teacher of every seed, then a student of every method."""
    names = ("student", "teacher", "inductive", "batch", "epochs", "runs", "made", "options")
    known = {name: getattr(arguments, name) for name in names}
    scene = lru_cache(maxsize=2)(partial(TaskScene, arguments.task, arguments.dataset, **known))  # and that of searches
    rows = methods_of(arguments.task)
    about = {
        "dataset": arguments.dataset,
        "split": arguments.task,
        "setting": "inductive" if arguments.inductive else "transductive",
        "teacher": arguments.teacher,
        "student": arguments.student,
        "options": {name: known[name] for name in ("epochs", "batch") if known[name] is not None} | known["options"],
    }

    def search(name: str, place: Place, **asked: Any) -> graphkd.Tuned:
        first, given = scene(arguments.first_seed), arguments.given[name]
        return tuned(rows[name], first, given, arguments.fixed[name], place, **asked)

    def teacher(seed: int, place: Place) -> Iterable[Row]:
        found = scene(seed).teacher(place)
        return measured(found, scene(seed).columns, found.card["costs"])

    def student(name: str, seed: int, chosen: Row, place: Place) -> Iterable[Row]:
        return measured(*student_of(rows[name], scene(seed), chosen, place))

    settings = Settings(arguments, about, search)
    yield from taught_jobs(arguments, about, settings, teacher, student, {"student": arguments.teacher})


def student_of(row: Metadata, scene: TaskScene, given: Row, place: Place) -> tuple[Distilled, TaskScene, Row]:
    """Train a student by a method; returns it, what it is judged on, and costs."""
    makes_own = row.name in OWN_STUDENTS
    settings, asked = split_settings(row, given, with_student=not makes_own)
    student = None if makes_own else scene.student(asked.pop("dropout", None))
    options = {**options_of({**scene.training(scene.recipe), **asked}), "seed": scene.seed, **_needs(row, scene)}
    teacher, data, task = _given(row, scene, place)
    found, costs = place.distil(row.name, student, teacher, data, task=task, **settings, **options)
    if makes_own:
        costs |= latency_of(found, scene)
        found = scene.extended(found)
    return found, scene, costs


def tuned(row: Metadata, scene: TaskScene, given: Row, fixed: set[str], place: Place, **options: Any) -> graphkd.Tuned:
    """Search the settings of a method, of its training and of the student, around those that were asked for."""
    settings, asked = split_settings(row, given, with_student=row.name not in OWN_STUDENTS)
    student, values = None, {**scene.training(scene.recipe), **asked}
    if row.name not in OWN_STUDENTS:
        student, values = scene.new_student, {"dropout": scene.recipe.dropout, **values}
    around, kept = divided(row, settings, values, fixed)
    kept |= {name: value for name, value in options_of(values).items() if name != "optimizer"}
    teacher, data, task = _given(row, scene, place)
    options |= {"seed": scene.seed, "task": task, **around, **kept, **_needs(row, scene)}
    return graphkd.tune(row.name, student, teacher, data, **options)


def _given(row: Metadata, scene: TaskScene, place: Place) -> tuple[Any, Any, Any]:
    """Teacher, data and task of a method's training."""
    teacher: Any = scene.teacher(place).model if row.teacher else None
    if row.name in OWN_STUDENTS:
        return teacher, scene.data, scene.seen_task
    batches = scene.batches_of(row)
    if (
        teacher is not None and batches is not scene.columns.data
    ):  # batches lack edges, the teacher sees the whole graph
        teacher = graphkd.Cached(teacher, scene.columns.data)
    return teacher, batches, scene.task


def _needs(row: Metadata, scene: TaskScene) -> dict[str, Any]:
    found: dict[str, Any] = {"hidden": scene.hidden} if "hidden" in row.needs else {}
    if "layers" in row.needs:
        found["layers"] = layers_of(*scene.kinds, scene.example)
    return found


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gnn", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--task", choices=sorted(SETS), required=True)
    task = parser.parse_known_args(argv)[0].task
    first, kinds = next(iter(SETS[task])), list(MODELS[task])
    add_own_data(parser, first, SETS[task])
    add("--teacher", choices=kinds, default=kinds[0], help="default: %(default)s")
    add("--student", choices=kinds, default=kinds[-1], help="default: %(default)s")
    add("--epochs", type=int, help="at most (default: the recipe's)")
    add("--inductive", action="store_true", help="of nodes: keep the new ones from training")
    add("--batch", type=int, help="nodes a batch of students that see features alone (default: the graph at once)")
    rows = methods_of(task)
    groups = {"all": list(rows), **{family: [] for family in dict.fromkeys(row.family for row in rows.values())}}
    for row in rows.values():
        groups[row.family].append(row.name)
    add_methods(parser, list(rows.values()), default="none,kd", groups=groups)
    add_tuning(parser)
    arguments = parser.parse_args(argv)
    own_data(parser, arguments, SETS[task])
    teacher = arguments.teacher
    kind = teacher if task == "node" else (task, f"{task}-{teacher}")
    use_methods(parser, arguments, list(rows.values()), groups, kind, student=own_settings)
    return arguments


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    last = arguments.first_seed + arguments.seeds - 1
    title = f"{arguments.dataset} ({arguments.task}), seeds {arguments.first_seed} to {last}"
    rows = tabulate(arguments, jobs(arguments), title)
    if arguments.plot:
        plot(rows, arguments.plot, title)
    return rows


if __name__ == "__main__":
    sys.exit(failed(main()))
