"""What each method is given: what was asked for or, with ``--tune N``, what a search of N trials found.

A method's settings are searched once, on the data and by the teacher of the first seed, by validation rows alone. The
folder ``--runs`` holds ``tuned/DATASET-SPLIT-TEACHER-STUDENT-METHOD-DIGEST`` for each: the journal of the trials, from
which a search that was broken off goes on, ``trials.jsonl``, a row per trial, and ``setting.toml``, which a settings
file may take.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, write_whole
from benchmarks.runs import SAVE_EVERY, Place, digest, plain
from graphkd import Tuned
from graphkd.core.method import Metadata

Search = Callable[..., Tuned]  # name, options of ``tune`` -> what was found


class Settings:
    """What each method is given. about: what the rows of all depend on; search: (name, place, options of ``tune``)."""

    def __init__(self, arguments: argparse.Namespace, about: Row, search: Search) -> None:
        self.arguments, self.about, self.search = arguments, about, search
        self.trials: int | None = getattr(arguments, "tune", None)
        self._found: dict[str, Tuned] = {}

    @property
    def rows(self) -> Row:
        """What leads the rows of students: whether they were tuned, and by what search."""
        if self.trials is None:
            return {"tuned": False}
        last_round = {"finalists": self.arguments.tune_finalists, "tuning_seeds": self.arguments.tune_seeds}
        return {"tuned": True, "trials": self.trials, **last_round}

    def __call__(self, name: str, place: Place) -> tuple[dict[str, Any], Row]:
        """Settings of a method, and what is told of them in its rows."""
        asked = dict(self.arguments.given[name])
        if self.trials is None:
            return asked, {}
        found = self._tuned(name, place)
        chosen = dict(found.setting.values)
        if found.setting.usual:  # then the method has its own
            chosen = {key: value for key, value in chosen.items() if key not in found.setting.training}
        settings = {**asked, **chosen}
        scores = {"validation": found.score, "validation_published": found.published}
        return settings, {"settings": settings, **scores, "tuning_seconds": found.seconds}

    def _tuned(self, name: str, place: Place) -> Tuned:
        if name not in self._found:
            options: dict[str, Any] = {"trials": self.trials, "progress": False, "log": partial(_told, place)}
            options |= {"finalists": self.arguments.tune_finalists, "seeds": self.arguments.tune_seeds}
            if self.arguments.runs is not None:
                options |= {"checkpoint": self._folder(name), "save_every": SAVE_EVERY}
            self._found[name] = found = self.search(name, place, **options)
            if "checkpoint" in options:
                about = {**self.about, "method": name, "seed": self.arguments.first_seed}
                write_whole([{**about, **trial} for trial in found.trials], options["checkpoint"] / "trials.jsonl")
        return self._found[name]

    def _folder(self, name: str) -> Path:
        fixed = sorted(self.arguments.fixed[name])
        about = {**self.about, "method": name, "settings": self.arguments.given[name], "fixed": fixed}
        about["seed"] = self.arguments.first_seed
        names = (plain(about[key]) for key in ("dataset", "split", "teacher", "student", "method"))
        folder: Path = self.arguments.runs / "tuned" / "-".join([*names, digest(about)])
        return folder


def divided(
    row: Metadata, own: Mapping[str, Any], training: Mapping[str, Any], fixed: set[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of ``tune``: where the search starts, and what it leaves as it is, of a method's and of its training.

    Numbers of which a method has a range, ``lr``, ``weight_decay`` and ``dropout`` are searched around what is asked
    for, unless it is fixed.
    """
    start = {name: value for name, value in own.items() if name in row.space and name not in fixed}
    start |= {name: training[name] for name in ("lr", "weight_decay", "dropout") if name in training}
    one = {name: [value] for name, value in start.items() if name in fixed}
    return {"start": start, "space": one}, {name: value for name, value in own.items() if name not in start}


def _told(place: Place, report: Mapping[str, Any]) -> None:
    place.log({**report, "stage": f"a trial's {report.get('stage', '')}"})
