"""Whole epochs of ranking methods, in epochs of the student alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import Any, NamedTuple

import torch
from rich.table import Table

from benchmarks.ranking.cases import briefly_trained, planned, problem
from benchmarks.rows import Row
from recsys import Interactions

STUDENT, TEACHER = 8, 64  # widths
EPOCHS = 100  # of the run that an epoch is one of: it sets temperatures, and when weights come into force
PHASES = ("batches", "forward", "backward", "optimiser")


class Epoch(NamedTuple):
    """An epoch of a method, and how many epochs of the student alone it may last."""

    method: str
    number: int
    bar: float | None = None


CASES: dict[str, Epoch] = {
    "rd": Epoch("rd", 15, 4.5),  # weights by rank are on
    "rcekd": Epoch("rcekd", 0, 6.0),
    "de-soft": Epoch("de", 0, 20.0),  # a row has many experts
    "de-one-hot": Epoch("de", 60, 6.0),
    "htd-soft": Epoch("htd", 0),
    "htd-one-hot": Epoch("htd", 60, 12.0),
    "irrrd": Epoch("irrrd", 0, 4.0),
    "rrd": Epoch("rrd", 0),
    "cd": Epoch("cd", 0),
}


class EpochTraining:
    """A student in training by a method, one and the same epoch again and again."""

    def __init__(
        self, train: Interactions, teacher: Any, epoch: Epoch, clock: Callable[[], float] = time.process_time
    ) -> None:
        self.task, self.batches = planned(problem(train, teacher, STUDENT), epoch.method)
        self.optimizer = torch.optim.Adam(self.task.parameters(), lr=1e-3, weight_decay=1e-3, fused=True)
        self.number, self.clock = epoch.number, clock

    def seconds(self) -> list[float]:
        """Train on all batches of the epoch: seconds of each of ``PHASES``."""
        for part in (self.batches, self.task):
            part.set_epoch(self.number, EPOCHS)
        spent, at = [0.0] * len(PHASES), self.clock()

        def note(phase: int) -> None:
            nonlocal at
            now = self.clock()
            spent[phase] += now - at
            at = now

        for batch in self.batches:
            note(0)
            loss, _ = self.task(batch)
            note(1)
            self.optimizer.zero_grad()
            loss.backward()
            note(2)
            self.optimizer.step()
            note(3)
        return spent


def epoch_rows(
    train: Interactions, names: Iterable[str], repeats: int, clock: Callable[[], float] = time.process_time
) -> Iterator[Row]:
    """A row a case: seconds by phases, and how many epochs of the student alone they are, in turn with these.

    Medians over rounds; a first one warms up and does not count.
    """
    teacher = briefly_trained(train, TEACHER)
    plain = EpochTraining(train, teacher, Epoch("none", 0), clock)
    plain.seconds()
    for name in names:
        case = CASES[name]
        training = EpochTraining(train, teacher, case, clock)
        training.seconds()
        measured = [(sum(plain.seconds()), training.seconds()) for _ in range(repeats)]
        ratios = [sum(phases) / alone for alone, phases in measured]
        yield {
            "op": "epoch",
            "case": name,
            "method": case.method,
            "epoch": case.number,
            "epochs": EPOCHS,
            "rounds": repeats,
            "plain_seconds": median(alone for alone, _ in measured),
            "seconds": median(sum(phases) for _, phases in measured),
            **{f"{phase}_seconds": median(column) for phase, column in zip(PHASES, _columns(measured), strict=True)},
            "ratio": median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
            "bar": case.bar,
        }


def _columns(measured: list[tuple[float, list[float]]]) -> Iterator[tuple[float, ...]]:
    """Seconds of each phase in all rounds."""
    yield from zip(*(phases for _, phases in measured), strict=True)


def epoch_table(rows: list[Row]) -> Table:
    """A line a case."""
    first = rows[0]
    table = Table(
        title=f"{first['dataset']}, an epoch; {first['device']}, {first['threads']} threads, {first['clock']} time",
        caption=f"teacher {first['teacher']}, student {first['student']}; medians, ratio to the student alone with its "
        "range over rounds",
    )
    table.add_column("case")
    for name in (*PHASES, "in all s", "student alone s", "ratio", "bar"):
        table.add_column(name, justify="right")
    for row in rows:
        seconds = [f"{row[f'{phase}_seconds']:.3f}" for phase in PHASES]
        ratio = f"{row['ratio']:.1f}x ({row['lowest']:.1f}–{row['highest']:.1f})"
        bar, missed = (f"{row['bar']:g}x", row["ratio"] > row["bar"]) if row["bar"] else ("", False)
        table.add_row(
            row["case"],
            *seconds,
            f"{row['seconds']:.3f}",
            f"{row['plain_seconds']:.3f}",
            ratio,
            bar,
            style="red" if missed else None,
        )
    return table
