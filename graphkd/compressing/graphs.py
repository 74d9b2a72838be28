"""Compression of teachers of graphs: students, methods, the measure of costs, and the teacher's own scores."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import nn

from graphkd.compressing.budget import Budget
from graphkd.compressing.choices import auto_students, chosen_methods
from graphkd.compressing.measuring import NODES, Measure, measure_by
from graphkd.compressing.run import Compression
from graphkd.compressing.students import Student, given_students
from graphkd.core.batches import first_batch
from graphkd.core.by_name import lookup, names, node_types
from graphkd.core.clients import Clients
from graphkd.core.distilled import Distilled
from graphkd.core.method import Metadata
from graphkd.core.rng import seeded
from graphkd.core.task import Task
from graphkd.core.teachers import Frozen, ask, frozen
from graphkd.core.view import Call

Distil = Callable[..., Distilled]


def compression(
    distil: Distil,
    known: Sequence[Metadata],
    teacher: Any,
    data: Any,
    task: Task,
    usual: Mapping[str, Any],
    *,
    students: Any,
    methods: Any,
    budget: Budget,
    hidden: Any,
    latency: Callable[[nn.Module], float] | None,
    epochs: int | None,
    seed: int,
    options: Mapping[str, Any],
) -> Compression:
    """Make the compression of a teacher of graphs."""
    _check(teacher, data)
    own, others = _sides(options.get("call"))
    with seeded(seed):
        prepared = task.prepare(data)
        batch = first_batch(prepared)
    measure = measure_by(prepared, task, own, latency)
    if isinstance(students, str) and students == "auto":
        train = partial(_wide, distil, teacher, data, task, usual, epochs, seed, options)
        choice = _auto(task, batch, _answers(frozen(teacher, others), batch, task), train)
    else:
        choice = given_students(students, seed)
    has = {"edges": "edge_index" in lookup(batch, ("edge_index",)), "hidden": hidden is not None}
    has["whole graph"] = names(data) is not None
    rows = chosen_methods(known, methods, kind=task.kind, has=[need for need, there in has.items() if there])
    return Compression(
        distil,
        choice,
        rows,
        teacher,
        data,
        task,
        usual,
        measure,
        budget,
        judge=partial(_judged, teacher, task, prepared, others, measure),
        epochs=epochs,
        seed=seed,
        options=options,
        hidden=partial(_hidden, hidden),
    )


def _check(teacher: Any, data: Any) -> None:
    """Raise TypeError for a teacher or data that cannot be compressed."""
    if isinstance(teacher, (list, tuple)):
        raise TypeError(f"'teacher' must be one, got {len(teacher)}: give graphkd.Ensemble of them")
    if not isinstance(teacher, (nn.Module, Frozen)):
        raise TypeError(f"'teacher' must be a module or a teacher, got {type(teacher).__name__}")
    if isinstance(data, Clients):
        raise TypeError("'data' must be one graph or loader, got Clients: graphkd.distil has methods for these")


def _sides(call: Any) -> tuple[Call | None, Call | None]:
    """Return how student and teacher are called."""
    return (call[0], call[1]) if isinstance(call, (tuple, list)) else (call, call)


def _auto(task: Task, batch: Any, answers: int, train: Callable[[nn.Module], nn.Module]) -> list[Student]:
    """Make the default students for the data; ValueError if such data have none."""
    x = lookup(batch, ("x",)).get("x")
    if task.kind not in NODES or node_types(batch) or not isinstance(x, torch.Tensor) or x.dim() != 2:
        raise ValueError(
            f"'students' that are made by themselves answer for nodes of one type with features 'x' (N, F), as tasks "
            f"{list(NODES)}; the task is {task.kind!r}: give students=[...], modules or functions that make one"
        )
    return auto_students(x.size(1), answers, edges="edge_index" in lookup(batch, ("edge_index",)), train=train)


@torch.no_grad()
def _answers(teacher: Frozen, batch: Any, task: Task) -> int:
    """Return the width of a teacher's answers."""
    with seeded(0):
        shown = ask(frozen(teacher.model, task.call(teacher.call)) if type(teacher) is Frozen else teacher, batch)
    logits = shown["logits"]
    return int(logits.size(-1)) if logits.dim() > 1 else 1


def _wide(
    distil: Distil,
    teacher: Any,
    data: Any,
    task: Task,
    usual: Mapping[str, Any],
    epochs: int | None,
    seed: int,
    options: Mapping[str, Any],
    wide: nn.Module,
) -> nn.Module:
    """Train a wide student by soft targets, for a third of the epochs, to be pruned."""
    third = max(1, int(usual["epochs"] if epochs is None else epochs) // 3)
    given = {name: options[name] for name in ("call", "device") if name in options}
    return distil("kd", wide, teacher, data, task=task, epochs=third, seed=seed, progress=False, **given).model


def _hidden(asked: Any, student: Student) -> Any:
    """Return the paths of hidden layers for a student; default students have their own."""
    if student.is_given or asked is None:
        return asked
    return (student.hidden, asked[1] if isinstance(asked, (tuple, list)) else asked)


def _judged(teacher: Any, task: Task, data: Any, call: Call | None, measure: Measure) -> dict[str, Any]:
    """Return the teacher's scores and, if its queries can be timed like a student's, its costs."""
    asked = frozen(teacher, call)

    def show(_: nn.Module, batch: Any) -> dict[str, Any]:
        return dict(ask(asked, batch))

    with seeded(0):
        scores = task.scores(nn.Identity(), data, show)
    found: dict[str, Any] = {"validation": next(iter(scores["val"].values())), "scores": scores}
    model = getattr(teacher, "model", teacher)
    if isinstance(model, nn.Module):
        try:
            found |= asdict(measure({"teacher": copy.deepcopy(model)})["teacher"])
        except (TypeError, ValueError, RuntimeError):  # for example recorded answers, which have no latency
            found["form"] = "not timed"
    return found
