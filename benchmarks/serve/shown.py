"""What rows of serving say: the last row of each measurement, gains over a student, and tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.rows import ERROR, Row
from benchmarks.serve.series import MEMORY

CLOSED = "closed loop, uniform, hot"
_FORM = ("scenario", "system", "model", "fetch")
_SAME = ("dataset", "method", "batch", "threads", *_FORM, "percentile", "metric")


class Gain(NamedTuple):
    """How much faster a student answers than a teacher, at the median; both in milliseconds, and the student's row.

    busy: whether the processor's time was taken for both, since others were at work.
    """

    teacher: Row
    student: Row
    teacher_ms: float
    student_ms: float
    busy: bool

    @property
    def times(self) -> float:
        """The teacher's time over the student's."""
        return self.teacher_ms / self.student_ms


def latest(rows: Iterable[Row]) -> list[Row]:
    """Rows without those that came again: of what was measured twice the last counts; and without failures."""
    known = {tuple(str(row.get(key)) for key in _SAME): row for row in rows if row["metric"] != ERROR}
    return list(known.values())


def chosen(rows: Iterable[Row], **wanted: object) -> list[Row]:
    """Rows with these values."""
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def medians(rows: Iterable[Row], *, label: str = CLOSED, threads: int = 1) -> list[Row]:
    """The rows of medians of one kind of series."""
    return chosen(rows, percentile=50, method=label, threads=threads)


def gain(teacher: Row, student: Row) -> Gain:
    """Compare two medians of one series: by the wall's clock, or where it was busy for either by the processor's."""
    busy = bool(teacher["busy"] or student["busy"])
    key = "cpu_milliseconds" if busy else "milliseconds"
    return Gain(teacher, student, teacher[key], student[key], busy)


def gains(rows: Iterable[Row], student: str) -> list[Gain]:
    """Each form against the fresh student of that name, in the same series; the student itself left out."""
    known = medians(rows)
    base = {(row["dataset"], row["batch"]): row for row in chosen(known, scenario="fresh", model=student)}
    pairs = ((row, base.get((row["dataset"], row["batch"]))) for row in known)
    return [gain(row, one) for row, one in pairs if one is not None and row is not one]


def show(rows: Sequence[Row]) -> None:
    """Print a table a data set: medians by batch, and the wait for the slowest; then what failed."""
    console = Console()
    kept = latest(rows)
    for dataset in dict.fromkeys(row["dataset"] for row in kept):
        timed = [row for row in medians(kept) if row["dataset"] == dataset]
        if timed:
            console.print(_table(dataset, timed), markup=False)
    for row in rows:
        if row["metric"] == ERROR:
            text = f"{row['dataset']}, {row['method']}, batch {row.get('batch', '-')}, failed: {row['error']}"
            console.print(text, markup=False, soft_wrap=True)


def _table(dataset: str, rows: list[Row]) -> Table:
    batches = sorted({row["batch"] for row in rows})
    busy = any(row["busy"] for row in rows)
    caption = "one thread, caches hot, closed loop; judged: share of test nodes right, or of the best items found"
    told = "; the machine was busy: processor's time" if busy else ""
    title = f"{dataset}: milliseconds of a query, medians"
    table = Table(title=title, caption=caption + told)
    for name in ("scenario", "model", "fetch", "judged", *(f"batch {batch}" for batch in batches)):
        table.add_column(name, justify="right" if name.startswith(("batch", "judged")) else "left")
    key = "cpu_milliseconds" if busy else "milliseconds"
    for form in dict.fromkeys(tuple(row[name] for name in _FORM) for row in rows):
        own = [row for row in rows if tuple(row[name] for name in _FORM) == form]
        cells = [f"{row[0][key]:.3f}" if (row := chosen(own, batch=batch)) else "" for batch in batches]
        table.add_row(form[0], form[2], form[3], judged(own[0]), *cells)
    return table


def judged(row: Row) -> str:
    """The quality of a form."""
    return "" if row["value"] is None else f"{100 * row['value']:.1f} %"


def memories(rows: Iterable[Row]) -> list[Row]:
    """The rows of memory."""
    return chosen(rows, method=MEMORY)
