"""Runs of a benchmark: what is there is not trained again, what stopped goes on, what fails is a row that says why.

A folder ``--runs`` holds DATASET-SPLIT/TEACHER-STUDENT/METHOD-SEED-DIGEST for each run: ``rows.jsonl``, written whole
when the run has ended, and until then the states of its stages; and ``teachers`` with the models that runs share.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import graphkd
from benchmarks.measure import counted_steps
from benchmarks.notes import noted
from benchmarks.progress import Progress
from benchmarks.report import show
from benchmarks.rows import ERROR, Row, failed, read, write, write_whole
from graphkd.core.distilled import Distilled

SAVE_EVERY = 50  # epochs: more often would be seen in the seconds of a training
_OFTEN = 5.0  # seconds between two notes of the time that was spent
_ROWS, _SPENT = "rows.jsonl", "spent.json"


class Place:
    """Where one run keeps its states, if anywhere, and who is told of its epochs."""

    def __init__(self, folder: Path | None = None, tell: Callable[[Mapping[str, Any]], None] = lambda _: None) -> None:
        self.folder, self._tell = folder, tell
        self._noted, self._note = 0.0, lambda: None

    def options(self, name: str = "stages") -> dict[str, Any]:
        """Options of ``distil`` for a training that goes on where it stopped; ``name``: of several of one run."""
        options: dict[str, Any] = {"log": self.log, "progress": False}
        if self.folder is None:
            return options
        return {**options, "checkpoint": self.folder / name, "resume": "auto", "save_every": SAVE_EVERY}

    def log(self, report: Mapping[str, Any]) -> None:
        """Pass on the report of an epoch, and note the time now and then."""
        self._tell(report)
        if time.monotonic() - self._noted > _OFTEN:
            self._noted = time.monotonic()
            self._note()

    def distil(self, *given: Any, **options: Any) -> tuple[Distilled, dict[str, float]]:
        """``graphkd.distil`` that goes on where it stopped; and what it cost."""
        with self.clock() as costs:
            found = graphkd.distil(*given, **self.options(), **options)
            return found, costs()

    @contextmanager
    def clock(self) -> Iterator[Callable[[], dict[str, float]]]:
        """Count seconds and steps of all optimisers, those before an interruption included; gives the costs so far."""
        path = None if self.folder is None else self.folder / _SPENT
        before = json.loads(path.read_text()) if path is not None and path.exists() else {"seconds": 0.0, "steps": 0}
        started = time.perf_counter()
        with counted_steps() as steps:

            def spent() -> dict[str, float]:
                seconds = before["seconds"] + time.perf_counter() - started
                return {"seconds": seconds, "steps": before["steps"] + steps()}

            def costs() -> dict[str, float]:
                found = spent()
                return {"train_seconds": found["seconds"], "step_ms": 1e3 * found["seconds"] / max(found["steps"], 1)}

            if path is not None:
                self._note = lambda: write_whole([spent()], path)
            self._noted = time.monotonic()
            try:
                yield costs
            finally:
                self._note()
                self._note = lambda: None


@dataclass(frozen=True)
class Job:
    """One run.

    about: what it is, ``dataset, split, teacher, student, method, seed`` and all else that its result depends on. run:
    gives the other entries of its rows: metric, value, costs.
    """

    about: Row
    run: Callable[[Place], Iterable[Row]]

    def folder(self, root: Path) -> Path:
        """Of the run, below that of all runs."""
        about = {name: plain(value) for name, value in self.about.items()}
        pairs = (f"{about['dataset']}-{about['split']}", f"{about['teacher']}-{about['student']}")
        return root.joinpath(*pairs, f"{about['method']}-{about['seed']}-{digest(self.about)}")


def digest(about: Any) -> str:
    """A short name of plain values."""
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()[:8]


def plain(value: Any) -> str:
    """A value as a part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9._+]", "", str(value))


def collect(jobs: Sequence[Job], arguments: Any) -> list[Row]:
    """Rows of all runs, on as many threads as were asked for, each written as soon as its run has ended.

    With ``--missing`` nothing is trained: rows are those that are there, and each run without is named.
    """
    if arguments.missing:
        return _there(jobs, arguments.runs)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    kept, out = list[Row](), arguments.out
    written = set(out.read_text().splitlines()) if out and out.exists() and arguments.runs else set[str]()
    with Progress(len(jobs)) as shown:
        for job in jobs:
            shown.begin(f"{job.about['method']}, seed {job.about['seed']}")
            rows = _rows(job, arguments.runs, shown)
            if out:  # what was known may have been written by the call that was broken off
                write((row for row in rows if json.dumps(row) not in written), out)
            kept += rows
            shown.end()
    return kept


def _rows(job: Job, root: Path | None, shown: Progress) -> list[Row]:
    """Rows of a run: the known ones, else new ones, else one that says why there are none."""
    folder, known = _written(job, root)
    if known is not None and not failed(known):
        return known
    try:
        with noted() as notes:
            rows = [{**job.about, **row} for row in job.run(Place(folder, shown.log))]
        rows = [{**row, "notes": notes} for row in rows] if notes else rows
    except Exception as error:
        rows = [{**job.about, "metric": ERROR, "value": None, "error": f"{type(error).__name__}: {error}"}]
        print("".join(traceback.format_exception(error)), file=sys.stderr, flush=True)
    if folder is not None:
        write_whole(rows, folder / _ROWS)
        if not failed(rows):
            _remove(folder, {_ROWS})
    return rows


def _written(job: Job, root: Path | None) -> tuple[Path | None, list[Row] | None]:
    """The folder of a run, and its rows, where there are any."""
    folder = None if root is None else job.folder(root)
    there = folder is not None and (folder / _ROWS).exists()
    return folder, read(folder / _ROWS) if there and folder is not None else None


def _there(jobs: Sequence[Job], root: Path) -> list[Row]:
    """Rows of the runs that have ended well; the others are printed."""
    kept, lines = list[Row](), list[str]()
    for job in jobs:
        folder, rows = _written(job, root)
        if rows is not None and not failed(rows):
            kept += rows
        else:
            state = rows[0]["error"] if rows else "begun" if folder is not None and folder.exists() else "not begun"
            lines.append(f"  {job.about['method']}, seed {job.about['seed']}: {state}")
    print("\n".join([f"{len(lines)} of {len(jobs)} runs are missing", *lines]))
    return kept


def _remove(folder: Path, kept: set[str]) -> None:
    """Drop what going on with a run would take."""
    for path in folder.iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def tabulate(arguments: Any, jobs: Iterable[Job], title: str, **shown: Any) -> list[Row]:
    """Rows of all runs, and their table; ``shown``: of ``show``."""
    rows = collect(list(jobs), arguments)
    show(rows, title, wide=arguments.wide, **shown)
    return rows


def about(arguments: Any, dataset: str, split: str, *names: str) -> Row:
    """What leads all rows of a benchmark; ``names``: of the arguments that its results depend on."""
    options = {name: getattr(arguments, name) for name in names}
    return {"dataset": dataset, "split": split, "tuned": False, "settings": {}, "options": options}


def shared_model(
    about: Row, model: nn.Module, train: Callable[[Place], tuple[Distilled, Row]], place: Place, root: Path | None
) -> Distilled:
    """Give a model that several runs share: read into ``model`` where it was kept, else trained and kept.

    about: all that it depends on. Its costs stand in the card.
    """
    folder = None
    if root is not None:
        folder = root / "teachers" / "-".join([*map(plain, list(about.values())[:4]), digest(about)])
        if (folder / "model").is_dir():
            return Distilled.load(folder / "model", model)
    found, found.card["costs"] = train(Place(folder, place.log))
    if folder is not None:
        found.save(folder / "saving")
        (folder / "saving").replace(folder / "model")
        _remove(folder, {"model"})
    return found
