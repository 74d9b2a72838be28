"""The runs of a benchmark of one teacher: that teacher, then a student of every method, seed by seed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from benchmarks.options import seeds
from benchmarks.rows import Row
from benchmarks.runs import Job, Place
from benchmarks.tuning import Settings

TeacherRun = Callable[[int, Place], Iterable[Row]]  # seed -> rows
StudentRun = Callable[[str, int, Mapping[str, Any], Place], Iterable[Row]]  # method, seed, its settings -> rows


def taught_jobs(
    arguments: argparse.Namespace,
    about: Row,
    settings: Settings,
    teacher: TeacherRun,
    student: StudentRun,
    of_teacher: Row,
) -> Iterator[Job]:
    """List the runs of all seeds. about: what leads every row; of_teacher: what a teacher's rows have instead."""

    def run(name: str, seed: int, place: Place) -> Iterator[Row]:
        chosen, told = settings(name, place)
        return ({**row, **told} for row in student(name, seed, chosen, place))

    for seed in seeds(arguments):
        own = {"method": "teacher", "seed": seed, "settings": {}, **of_teacher}
        yield Job({**about, "tuned": False, **own}, partial(teacher, seed))
        for name in arguments.methods:
            own = {"method": name, "seed": seed, "settings": arguments.given[name]}
            yield Job({**about, **settings.rows, **own}, partial(run, name, seed))
