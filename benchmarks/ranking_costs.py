"""Time of the ranking methods against the forms in their authors' codes, and memory on a large set.

``python -m benchmarks.ranking_costs`` (CiteULike), ``python -m benchmarks.ranking_costs --gowalla`` (memory),
``python -m benchmarks.ranking_costs --epochs`` (whole epochs on MovieLens-100k, in epochs of the student alone).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from benchmarks.measure import CLOCKS, machine
from benchmarks.ranking import epochs, models
from benchmarks.ranking.cases import (
    OPS,
    STUDENT,
    TEACHER,
    BriefTraining,
    Case,
    Setup,
    briefly_trained,
    planned,
    problem,
)
from benchmarks.recsys import METHODS
from benchmarks.rows import Row, write
from datasets.recommenders import RECOMMENDERS, load_interactions
from recsys import Interactions
from recsys.models import MF, Tables, tables_of

LARGE_TEACHER = 64  # its width on Gowalla
_PATIENCE = 30.0  # seconds of rounds after which a case that had three has no further one


# ---------------------------------------------------------------- memory
def memory_row(name: str, dataset: str, batches: int, threads: int, seed: int) -> Row:
    """Train a method on teachers of random tables, lists and all; for a process of its own, whose peak it is."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    train = load_interactions(dataset, seed=seed).train
    sizes = train.num_users, train.num_items

    def tables() -> Tables:
        """Of a teacher."""
        return tables_of(MF(*sizes, LARGE_TEACHER))

    started = time.perf_counter()
    # HetComp has two teachers, in four stages each, as in ``benchmarks.recsys``
    given = {"teachers": [[tables() for _ in range(4)] for _ in range(2)]} if name == "hetcomp" else {}
    training = BriefTraining(*planned(problem(train, tables()), name, **given))
    made = time.perf_counter() - started
    sampling, batch = training.begin_epoch(batches)
    return {
        "op": "memory",
        "method": name,
        **_facts(dataset, train, LARGE_TEACHER, seed),
        "setup_seconds": made,
        "sampling_seconds": sampling,
        "batch_seconds": batch,
        "peak_memory_mb": peak_resident() / 1e6,
    }


def peak_resident() -> int:
    """Bytes that this process had resident at its worst moment, by Linux's account of it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def memory_rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """A row a method, each from a new process."""
    options = (arguments.dataset or "gowalla", arguments.batches, arguments.threads, arguments.seed)
    bar = tqdm(arguments.methods, unit="method", disable=None)
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        for name in bar:
            bar.set_description(name)
            yield processes.submit(memory_row, name, *options).result()


def memory_table(rows: list[Row]) -> Table:
    """What every method took."""
    first = rows[0]
    table = Table(
        title=f"{first['dataset']}: {first['users']:,} users, {first['items']:,} items, {first['pairs']:,} pairs",
        caption=f"teacher {first['teacher']}, student {first['student']}; peak of the process, bar 6 GB",
    )
    table.add_column("method")
    for name in ("set-up s", "an epoch's lists s", "s a batch", "peak GB"):
        table.add_column(name, justify="right")
    for row in rows:
        times = (f"{row[key]:.3g}" for key in ("setup_seconds", "sampling_seconds", "batch_seconds"))
        gigabytes = row["peak_memory_mb"] / 1e3
        table.add_row(row["method"], *times, f"{gigabytes:.2f}", style="red" if gigabytes > 6 else None)
    return table


# ---------------------------------------------------------------- ratios
def rounds(case: Case, repeats: int) -> list[tuple[float, float]]:
    """Seconds of ours and of the plain form, in turn; a first round warms up and does not count."""
    case.ours(), case.plain()
    started, measured = time.perf_counter(), list[tuple[float, float]]()
    while len(measured) < repeats and (len(measured) < 3 or time.perf_counter() - started < _PATIENCE):
        measured.append((case.ours(), case.plain()))
    return measured


def case_rows(case: Case, measured: list[tuple[float, float]]) -> Iterator[Row]:
    """A row for each side: median seconds, and the speed-up over the plain form with its range over rounds."""
    ours, plain = (median(side) for side in zip(*measured, strict=True))
    each = [b / a for a, b in measured]
    head = {"op": case.op, "setting": case.setting, "rounds": len(measured), "note": case.note}
    speed_up = {"speed_up": plain / ours, "lowest": min(each), "highest": max(each), "bar": case.bar}
    yield {**head, "provider": "ours", "seconds": ours}
    yield {**head, "provider": "plain", "seconds": plain, **speed_up}


def ratio_rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """The rows of every case, one that needs too much memory with its refusal."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    dataset = arguments.dataset or "citeulike-derrd"
    train = load_interactions(dataset, seed=arguments.seed).train
    facts = {**_facts(dataset, train, TEACHER, arguments.seed), "clock": arguments.clock, **machine("cpu")}
    bar = tqdm(arguments.only, unit="measurement", disable=None)
    bar.set_description("teacher")
    setup = Setup(train, briefly_trained(train), arguments.batches, CLOCKS[arguments.clock])
    for op in bar:
        for case in OPS[op](setup):
            bar.set_description(f"{op} {case.setting}")
            refusal = case.refusal(arguments.limit_gb)
            if refusal:
                yield {"op": op, "setting": case.setting, "provider": "plain", "refusal": refusal, **facts}
                continue
            yield from ({**row, **facts} for row in case_rows(case, rounds(case, arguments.repeats)))


def ratio_table(rows: list[Row]) -> Table:
    """A line a case."""
    first = rows[0]
    table = Table(
        title=f"{first['dataset']}; {first['device']}, {first['threads']} threads, {first['clock']} time",
        caption=f"teacher {first['teacher']}, student {first['student']}; medians, speed-up with its range over rounds",
    )
    for name in ("measurement", "setting", "plain form s", "ours s", "speed-up", "bar", "note"):
        table.add_column(name, justify="left" if name in ("measurement", "setting", "note") else "right")
    ours = {(row["op"], row["setting"]): row["seconds"] for row in rows if row["provider"] == "ours"}
    for row in rows:
        head = row["op"], row["setting"]
        if "refusal" in row:
            table.add_row(*head, *[""] * 4, row["refusal"])
        elif row["provider"] == "plain":
            speed_up = f"{row['speed_up']:.1f}x ({row['lowest']:.1f}–{row['highest']:.1f})"
            bar, missed = (f"{row['bar']:g}x", row["speed_up"] < row["bar"]) if row["bar"] else ("", False)
            seconds = f"{row['seconds']:.4g}", f"{ours[head]:.4g}"
            table.add_row(*head, *seconds, speed_up, bar, row["note"], style="red" if missed else None)
    return table


# ---------------------------------------------------------------- epochs
def whole_epochs(arguments: argparse.Namespace) -> Iterator[Row]:
    """The rows of whole epochs, on one thread and in CPU time: the machine may be busy."""
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    dataset = arguments.dataset or "ml-100k"
    train = models.load(dataset, "ratio", arguments.seed).train
    facts = {**_facts(dataset, train, epochs.TEACHER, arguments.seed, epochs.STUDENT), "clock": "cpu", **machine("cpu")}
    bar = tqdm(arguments.epochs, unit="epoch", disable=None)
    yield from ({**row, **facts} for row in epochs.epoch_rows(train, bar, arguments.repeats))


def _facts(dataset: str, train: Interactions, teacher: int, seed: int, student: int = STUDENT) -> Row:
    sizes = {"users": train.num_users, "items": train.num_items, "pairs": len(train)}
    return {"dataset": dataset, **sizes, "teacher": f"mf:{teacher}", "student": f"mf:{student}", "seed": seed}


# ---------------------------------------------------------------- command line
def _names(table: dict[str, Any], text: str) -> list[str]:
    names = list(table) if text == "all" else text.split(",")
    unknown = [name for name in names if name not in table]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; expected 'all' or some of {', '.join(table)}")
    return names


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranking_costs", description=__doc__)
    add = parser.add_argument
    add("--only", type=partial(_names, OPS), default="all", help=f"'all' or, with commas: {', '.join(OPS)}")
    add("--gowalla", action="store_true", help="instead, the peak memory of every method on Gowalla")
    add(
        "--epochs",
        nargs="?",
        const="all",
        type=partial(_names, epochs.CASES),
        help=f"instead, whole epochs, one thread, CPU time: 'all' or, with commas: {', '.join(epochs.CASES)}",
    )
    add(
        "--methods",
        type=partial(_names, dict(METHODS)),
        default="all",
        help="with --gowalla: 'all' or some, with commas",
    )
    add("--dataset", choices=sorted(RECOMMENDERS), help="another dataset than CiteULike, Gowalla or MovieLens-100k")
    add("--batches", type=int, default=8, help="batches of an epoch that are trained (default: %(default)s)")
    add("--repeats", type=int, default=5, help="timed rounds; the median counts (default: %(default)s)")
    add("--limit-gb", type=float, default=12.0, help="leave out what needs more (default: %(default)s)")
    add("--threads", type=int, default=2, help="threads on the CPU (default: %(default)s)")
    add("--clock", choices=list(CLOCKS), default="wall", help="cpu: of all threads; for a busy machine, one thread")
    add("--seed", type=int, default=0)
    add("--out", type=Path, help="append JSON Lines here, as soon as they are measured")
    arguments = parser.parse_args(argv)
    for name in ("batches", "repeats", "threads"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(arguments, name)}")
    return arguments


def main(argv: list[str] | None = None) -> list[Row]:
    """Measure, print the table, write the file; returns the rows."""
    arguments = _arguments(argv)
    if arguments.epochs:
        rows, table = whole_epochs, epochs.epoch_table
    else:
        rows, table = (memory_rows, memory_table) if arguments.gowalla else (ratio_rows, ratio_table)
    measured: list[Row] = []
    for row in rows(arguments):
        measured.append(row)
        if arguments.out:
            write([row], arguments.out)
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table(measured))
    return measured


if __name__ == "__main__":
    main()
