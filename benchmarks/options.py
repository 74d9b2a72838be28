"""What the benchmarks that train models share: their options, the choice of methods, and how rows are kept."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch

from benchmarks.report import Row, write


def add_options(
    parser: argparse.ArgumentParser, methods: Sequence[str], *, default: str, groups: Sequence[str]
) -> None:
    """Methods, seeds, threads, and where results go."""
    add = parser.add_argument
    names = f"comma-separated, of {', '.join(methods)}; or {', '.join(groups)} (default: %(default)s)"
    add("--methods", default=default, help=names)
    add_run_options(parser)
    add("--plot", type=Path, help="write quality against latency as a picture")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Seeds, threads, and the file of results."""
    add = parser.add_argument
    add("--seeds", type=int, default=3, help="number of seeds: of the data, the weights, the training (%(default)s)")
    add("--first-seed", type=int, default=0)
    add("--threads", type=int, help="threads on the CPU (default: torch's choice)")
    add("--out", type=Path, help="append a JSON line per measured value, run by run")


def check_seeds(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End with a message where there is no seed to run."""
    if arguments.seeds < 1:
        parser.error(f"'--seeds' must be at least 1, got {arguments.seeds}")


def use_options(
    parser: argparse.ArgumentParser,
    arguments: argparse.Namespace,
    groups: Mapping[str, Sequence[str]],
    check: Callable[[str], object],
) -> None:
    """Put the list of methods in place of what was written, and check it."""
    arguments.methods = [name for part in arguments.methods.split(",") for name in groups.get(part, [part])]
    arguments.methods = list(dict.fromkeys(arguments.methods))
    check_seeds(parser, arguments)
    try:
        for name in arguments.methods:
            check(name)
    except ValueError as error:
        parser.error(str(error))


def collect(rows: Callable[[argparse.Namespace], Iterable[Row]], arguments: argparse.Namespace) -> list[Row]:
    """All rows, on as many threads as were asked for; each is written as soon as it is there, should the run stop."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    kept = []
    for row in rows(arguments):
        kept.append(row)
        if arguments.out:
            write([row], arguments.out)
    return kept
