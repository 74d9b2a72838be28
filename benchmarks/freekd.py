"""Two peers that teach each other (FreeKD) against the same model alone, and what their policies did.

``python -m benchmarks.freekd --dataset cora --split public --seeds 10``

``phi`` and ``psi`` are trained from the two models' first weights, each with the other as its peer, and serve at their
own best epochs. Settings of FreeKD other than these are given by ``--set freekd.NAME=VALUE`` in ``benchmarks.gnn``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.gnn import cost
from benchmarks.graph.models import HIDDEN
from benchmarks.graph.scene import Scene, fresh, options_of, split_name
from benchmarks.options import add_data, parse_run, seeds
from benchmarks.report import show
from benchmarks.rows import Row, failed
from benchmarks.runs import Job, Place, about, collect
from datasets import DATASETS
from graphkd.tasks import accuracy

SHARES = ("phi_teaches", "psi_teaches", "structure_passed")
SETTINGS = ("mu", "rho", "gamma", "policy_lr", "confidence", "standardise")
_POINTS = 10  # of training at which shares are kept
_APART = 1000  # the seeds of two peers


def run(arguments: argparse.Namespace, method: str, seed: int, number: int, place: Place) -> Iterator[Row]:
    """A model alone, or with its peer, on the data of a seed; ``number``: of the model's own seed."""
    model = arguments.model
    scene = Scene(arguments.dataset, seed, student=model, teacher=model, split=arguments.split, epochs=arguments.epochs)
    data, (one, other) = scene.whole, (fresh(scene.student(), k) for k in (number, 2 * seed + _APART - number))
    options: dict[str, Any] = {**options_of(scene.training(scene.recipe)), "seed": number if method == "none" else seed}
    if method == "none":
        found, costs = place.distil("none", one, None, data, **options)
    else:
        options |= {"peer": other, "hidden": HIDDEN[model], **{name: getattr(arguments, name) for name in SETTINGS}}
        found, costs = place.distil("freekd", one, None, data, **options)
    costs |= cost(found.model, data)
    for metric, mask in (("accuracy", "test_mask"), ("accuracy_val", "val_mask")):
        yield {"metric": metric, "value": accuracy(found.model, data, mask), **costs}
    if method == "phi":
        yield from _shares(found.history, max(arguments.epochs // _POINTS, 1))


def _shares(history: list[dict[str, Any]], every: int) -> Iterator[Row]:
    """How often each action was taken, over stretches of training."""
    for start in range(0, len(history), every):
        stretch = history[start : start + every]
        for share in SHARES:
            value = fmean(row[share] for row in stretch)
            yield {"method": "freekd", "epoch": start + 1, "metric": share, "value": value}


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """Two models alone, then as peers, seed by seed."""
    known = about(arguments, arguments.dataset, split_name(arguments.dataset, arguments.split), "epochs")
    known |= {"teacher": arguments.model, "student": arguments.model}
    settings = {name: getattr(arguments, name) for name in SETTINGS}
    for seed in seeds(arguments):
        for method, number in (("none", 0), ("none", _APART), ("phi", 0), ("psi", _APART)):
            own = {"method": method, "seed": seed + number, "settings": {} if method == "none" else settings}
            yield Job({**known, **own}, partial(run, arguments, method, seed, seed + number))


def show_shares(measured: list[Row]) -> None:
    """Print how often each action was taken over training, the mean over seeds that were still training."""
    table = Table(title="share of each action in %", caption="phi or psi teaches at a node; its structure is passed on")
    for column in ("from epoch", *SHARES):
        table.add_column(column, justify="right")
    found: dict[int, dict[str, list[float]]] = {}
    for row in measured:
        if row["metric"] in SHARES:
            found.setdefault(row["epoch"], {}).setdefault(row["metric"], []).append(100 * row["value"])
    for epoch, shares in sorted(found.items()):
        table.add_row(str(epoch), *(f"{fmean(shares[share]):.1f}" for share in SHARES))
    Console().print(table)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.freekd", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add_data(parser, DATASETS, "cora")
    add("--model", choices=sorted(HIDDEN), default="gcn", help="both peers (default: %(default)s)")
    add("--epochs", type=int, default=200, help="default: %(default)s; 50 without a better one end a run")
    add("--mu", type=float, default=10.0, help="weight of the node losses (default: %(default)s)")
    add("--rho", type=float, default=1.0, help="weight of the structure losses (default: %(default)s)")
    add("--gamma", type=float, default=0.5, help="weight of the neighbours in the reward (default: %(default)s)")
    add("--policy-lr", type=float, default=1e-3, help="learning rate of the policies (default: %(default)s)")
    add("--no-standardise", dest="standardise", action="store_false", help="give the policies rewards as they are")
    add("--confidence", type=float, help="unlabelled nodes act from this probability on (default: they never do)")
    return parse_run(parser, argv)


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print both tables, write what was asked for; returns the rows."""
    arguments = parse(argv)
    rows = collect(list(jobs(arguments)), arguments)
    show([row for row in rows if row["metric"] not in SHARES], f"FreeKD, {arguments.dataset}", wide=arguments.wide)
    show_shares(rows)
    return rows


if __name__ == "__main__":
    sys.exit(failed(main()))
