"""Part that ``graphkd.tune`` and ``recsys.tune`` share: a search by the user's arguments, and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from graphkd.core.card import architecture, described
from graphkd.core.catalogue import Catalogue
from graphkd.core.clients import Clients
from graphkd.core.distilled import Distilled
from graphkd.core.loss import Loss
from graphkd.core.method import Metadata, as_method
from graphkd.core.rng import seeded
from graphkd.core.search import Search
from graphkd.core.space import Setting, Space
from graphkd.core.study import study_of
from graphkd.core.task import Task
from graphkd.core.tuned import Tuned

_FOUND = "setting.toml"
_SILENT = ("log", "save_every", "fabric")  # options on which results do not depend


def tuned(
    catalogue: Catalogue,
    distil: Callable[..., Distilled],
    method: Any,
    student: Any,
    teacher: Any,
    data: Any,
    task: Task,
    usual: Mapping[str, Any],
    *,
    trials: int,
    seeds: int,
    finalists: int,
    start: Mapping[str, Any] | None,
    space: Mapping[str, Any] | None,
    epochs: int | None,
    seed: int,
    checkpoint: str | Path | None,
    progress: bool | None,
    options: Mapping[str, Any],
) -> Tuned:
    """Search the settings of a method; ``usual`` are the default options of its training."""
    for name, value in (("trials", trials), ("seeds", seeds), ("finalists", finalists)):
        if value < 1:
            raise ValueError(f"{name!r} must be at least 1, got {value}")
    if "resume" in options:
        raise TypeError("a search goes on by itself in the folder 'checkpoint' and has no 'resume'")
    check_validation(task, data)
    # a loss is the whole objective and has no settings
    named = catalogue.find(method) if isinstance(method, str) else method
    chosen: Metadata = Metadata(name="loss") if isinstance(named, Loss) else as_method(named)
    usual = {**usual, **chosen.published}
    ranges = Space(chosen, usual, student, options, start=start, asked=space)
    most = int(usual["epochs"] if epochs is None else epochs)

    def train(setting: Setting, part: int, seed: int, folder: Path | None) -> Distilled:
        made = partial(student, **setting.student) if setting.student else student
        asked = part if part < most or epochs is not None else None  # None: each stage has its own
        kept = {} if folder is None else {"checkpoint": folder, "resume": "auto"}
        given = {**options, **setting.options, "task": task, "epochs": asked, "seed": seed, "progress": False}
        return distil(method, made, teacher, data, **given, **kept)

    about = {"method": chosen.name, "task": task.kind, "epochs": most, "seed": seed}
    about |= {"student": _architecture(student, ranges, seed), "teacher": described(teacher), "data": described(data)}
    about |= {"start": ranges.first.values, "ranges": ranges.ranges}
    about |= {"options": {name: described(value) for name, value in options.items() if name not in _SILENT}}
    given = {name: value for name, value in {**options, "epochs": epochs}.items() if name not in _SILENT}
    given = {"task": task} | {name: value for name, value in given.items() if value is not None}
    folder = None if checkpoint is None else Path(checkpoint)
    with study_of(folder, about) as study:
        search = Search(chosen.name, ranges, train, study, epochs=most, seed=seed, folder=folder)
        found = search(trials, seeds=seeds, finalists=finalists, progress=progress)
        kept = {name: value for name, value in given.items() if name in (*chosen.settings, "epochs", "patience")}
        found = replace(found, given=given, kept=kept)
        if folder is not None:
            found.save(folder / _FOUND)
    return found


def check_validation(task: Task, data: Any) -> None:
    """Raise ValueError for data without validation rows."""
    with seeded(0):  # reading a loader draws random numbers
        known = data.prepared(task, None) if isinstance(data, Clients) else task.prepare(data)
        if not task.has("val", known):
            raise ValueError(
                "settings are chosen on validation rows, and the data have none: give some, for a graph 'val_mask'"
            )


def _architecture(student: Any, ranges: Space, seed: int) -> str | None:
    """Describe the class and size of the student, or of the one that a function makes."""
    if student is None or isinstance(student, nn.Module):
        return architecture(student)
    with seeded(seed):
        return architecture(student(**ranges.first.student))
