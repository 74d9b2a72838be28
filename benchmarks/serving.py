"""What an answer costs: students and teachers asked about a few nodes, recommenders for a few users, by one protocol.

``python -m benchmarks.serving --quick --out serving.jsonl`` is meant for five minutes; ``python -m docs.serving`` makes
the page and the picture of the rows. Scenarios: ``fresh``, features are new and nothing kept may depend on them;
``static``, hidden layers, or tables of users and items, are kept; ``table``, answers are. Counted is all from node ids
to probabilities: neighbours, features, layers. Models are in torch, numpy and ONNX Runtime on a CPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import machine
from benchmarks.options import check_missing
from benchmarks.rows import Row, failed
from benchmarks.runs import Job, collect
from benchmarks.serve import recommenders
from benchmarks.serve.graphs import POWER_LAW
from benchmarks.serve.series import OfGraph, OfItems
from benchmarks.serve.shown import show
from datasets import CATALOGUE

GRAPHS = ("cora", "wordnet", f"{POWER_LAW}100000", f"{POWER_LAW}1000000")
ITEMS = (10_000, 100_000, 1_000_000)
BATCHES, _FEW = (1, 10, 32, 1024), (1, 32, 1024)
SCENARIOS = ("fresh", "static", "table")
# What --quick has in the place of defaults: queries of a form, its seconds in a series, epochs of a training.
_DEFAULTS = {"queries": 10_000, "seconds": 10.0, "epochs": 100}
_QUICK = {"queries": 1_000, "seconds": 0.25, "epochs": 8}


def jobs(arguments: argparse.Namespace, folder: Path) -> Iterator[Job]:
    """Graph by graph, then items."""
    for place, name in enumerate(arguments.graphs):
        whole = not arguments.quick or place + 1 == len(arguments.graphs)  # in quick runs, memory of the last graph
        yield from OfGraph(name, arguments, folder).jobs(with_memory=whole and not arguments.no_memory)
    for items in arguments.items:
        yield from OfItems(items, arguments).jobs()


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    torch.set_num_threads(1)
    told = machine("cpu")
    with tempfile.TemporaryDirectory() as folder:
        rows = collect([_with(job, told) for job in jobs(arguments, Path(folder))], arguments)
    show(rows)
    return rows


def _with(job: Job, told: Row) -> Job:
    """A job whose rows say what they were measured on; kept ones are another machine's as they are."""
    run = job.run

    def telling(place: Any) -> Iterator[Row]:
        return ({"torch": told["torch"], "device": told["device"], **row} for row in run(place))

    return type(job)(job.about, telling)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=(__doc__ or "").replace("``", ""))
    add = parser.add_argument
    quick = "the graph and the items of a million left out, fewer queries, epochs and series: five minutes"
    add("--quick", action="store_true", help=quick)
    add("--graphs", type=_names, help=f"data sets, or {POWER_LAW}NODES; 'none' (default: {','.join(GRAPHS)})")
    add("--items", type=_numbers(1), help=f"numbers of items; 'none' (default: {','.join(map(str, ITEMS))})")
    add("--widths", type=_numbers(1), default=list(recommenders.WIDTHS), help="of their tables (default: 8,64,200)")
    add("--batches", type=_numbers(1), help="nodes of a query (default: 1,10,32,1024; quick 1,32,1024)")
    add("--scenarios", type=_names, default=list(SCENARIOS), help="default: fresh,static,table")
    add("--queries", type=int, help="of single nodes in a closed loop; a tenth of others (default: 10,000)")
    words = "that a form may take in a series, but five rounds; a form slower than that for one query is left out"
    add("--seconds", type=float, help=f"{words} (default: 10)")
    add("--epochs", type=int, help="of trainings, where the graph has labels (default: 100)")
    add("--no-memory", action="store_true", help="leave out memory, which takes a process a form")
    add("--seed", type=int, default=0, help="of graphs, weights and queries (default: %(default)s)")
    add("--out", type=Path, help="append a JSON line per measured value, series by series")
    add("--runs", type=Path, help="folder of runs: what is there is not run again")
    add("--missing", action="store_true", help="measure nothing: list the series that '--runs' lacks, show the others")
    arguments = parser.parse_args(argv)
    _settle(parser, arguments)
    return arguments


def _settle(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Put defaults where nothing was asked for; ends with a message where a name is unknown or a number too small."""
    for name, value in (_QUICK if arguments.quick else _DEFAULTS).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
        if getattr(arguments, name) <= 0:
            parser.error(f"'--{name}' must be more than 0, got {getattr(arguments, name)}")
    check_missing(parser, arguments)
    small = -1 if arguments.quick else None
    arguments.graphs = list(GRAPHS[:small]) if arguments.graphs is None else arguments.graphs
    arguments.items = list(ITEMS[:small]) if arguments.items is None else arguments.items
    arguments.batches = arguments.batches or list(_FEW if arguments.quick else BATCHES)
    arguments.threads = None  # each series has its own
    for name in arguments.graphs:
        made = name.startswith(POWER_LAW) and name.removeprefix(POWER_LAW).isdigit()
        if not made and "node_classification" not in CATALOGUE.get(name, {}):
            parser.error(f"'--graphs' must be data sets of classified nodes, or {POWER_LAW}NODES, got {name!r}")
    if unknown := set(arguments.scenarios) - set(SCENARIOS):
        parser.error(f"'--scenarios' must be of {', '.join(SCENARIOS)}, got {', '.join(sorted(unknown))}")
    if arguments.items and min(arguments.items) < recommenders.K:
        parser.error(f"'--items' must be at least {recommenders.K}, got {min(arguments.items)}")


def _names(text: str) -> list[str]:
    return [] if text == "none" else text.split(",")


def _numbers(least: int) -> Callable[[str], list[int]]:
    def numbers(text: str) -> list[int]:
        found = [int(float(part)) for part in _names(text)]
        if any(number < least for number in found):
            raise argparse.ArgumentTypeError(f"must be numbers of at least {least}, got {text}")
        return found

    return numbers


if __name__ == "__main__":
    sys.exit(failed(main()))
