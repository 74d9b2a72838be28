"""Two peers that teach each other (FreeKD) against the same model alone, and what their policies did.

``python -m benchmarks.freekd --dataset cora --split public --seeds 10``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import nn
from torch_geometric.data import Data
from tqdm import tqdm

from benchmarks.gnn import cost
from benchmarks.graph.models import HIDDEN, build
from benchmarks.graph.procedures import fresh
from benchmarks.graph.recipes import student_recipe
from benchmarks.options import add_run_options, check_seeds, collect
from benchmarks.report import Row, show
from datasets import DATASETS, load
from graphkd import Distiller, fit
from graphkd.core.rng import seeded
from graphkd.gnn import FreeKD, freekd
from graphkd.losses import CE
from graphkd.tasks import accuracy

SHARES = ("phi_teaches", "psi_teaches", "structure_passed")
_POINTS = 10  # of training at which shares are kept
_APART = 1000  # the seeds of two peers


def runs(arguments: argparse.Namespace, data: Data, seed: int) -> Iterator[Row]:
    """Two models alone, then as peers from the same first weights, each under the seed of those; then the shares."""
    recipe = student_recipe(arguments.model, arguments.dataset)
    options = {**recipe.options(seed), "epochs": arguments.epochs}
    classes = int(data.y.max()) + 1
    model = build(arguments.model, data.num_features, classes, hidden=recipe.hidden, dropout=recipe.dropout)
    seeds = (seed, seed + _APART)
    for number in seeds:
        alone, started = fresh(model, number), time.perf_counter()
        validate = partial(accuracy, data=data, mask="val_mask")
        fit(Distiller(alone, losses=CE(where="train_mask")), data, metric=validate, **{**options, "seed": number})
        yield from _values("none", number, alone, data, time.perf_counter() - started)
    peers, started = [fresh(model, number) for number in seeds], time.perf_counter()
    log: list[dict[str, float]] = []
    freekd(task(arguments, peers, data, seed), data, policy_lr=arguments.policy_lr, log=log.append, **options)
    seconds = time.perf_counter() - started
    for name, number, peer in zip(("phi", "psi"), seeds, peers, strict=True):
        yield from _values(name, number, peer, data, seconds)
    every = max(arguments.epochs // _POINTS, 1)
    for start in range(0, len(log), every):
        stretch = log[start : start + every]
        about = {"method": "freekd", "seed": seed, "epoch": start + 1}
        yield from ({**about, "metric": share, "value": fmean(row[share] for row in stretch)} for share in SHARES)


def task(arguments: argparse.Namespace, peers: list[nn.Module], data: Data, seed: int) -> FreeKD:
    """FreeKD as the command line asks for it, the policies' weights from the seed."""
    knobs = {name: getattr(arguments, name) for name in ("mu", "rho", "gamma", "confidence", "standardise")}
    with seeded(seed):
        return FreeKD(*peers, data, hidden=HIDDEN[arguments.model], **knobs)


def _values(method: str, seed: int, model: nn.Module, data: Data, seconds: float) -> Iterator[Row]:
    """Accuracy on test nodes, and on validation nodes, by which alone weights are to be chosen."""
    costs = {"train_seconds": seconds, **cost(model, data)}
    for metric, mask in (("accuracy", "test_mask"), ("accuracy_val", "val_mask")):
        yield {"method": method, "seed": seed, "metric": metric, "value": accuracy(model, data, mask), **costs}


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """One row a measured value, seed by seed."""
    for seed in tqdm(range(arguments.first_seed, arguments.first_seed + arguments.seeds), unit="seed", disable=None):
        data = load(arguments.dataset, split=arguments.split, seed=seed)
        about = {
            "dataset": arguments.dataset,
            "split": arguments.split or next(iter(DATASETS[arguments.dataset])),
            "teacher": arguments.model,
            "student": arguments.model,
        }
        for row in runs(arguments, data, seed):
            yield about | row


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
    Console(width=None if Console().is_terminal else 180).print(table)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.freekd", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--dataset", choices=sorted(DATASETS), default="cora", help="default: %(default)s")
    add("--split", help="a split of the dataset (default: its first; 'public' for Cora)")
    add("--model", choices=sorted(HIDDEN), default="gcn", help="both peers (default: %(default)s)")
    add("--epochs", type=int, default=200, help="default: %(default)s; 50 without a better one end a run")
    add("--mu", type=float, default=10.0, help="weight of the node losses (default: %(default)s)")
    add("--rho", type=float, default=1.0, help="weight of the structure losses (default: %(default)s)")
    add("--gamma", type=float, default=0.5, help="weight of the neighbours in the reward (default: %(default)s)")
    add("--policy-lr", type=float, default=1e-3, help="learning rate of the policies (default: %(default)s)")
    add("--no-standardise", dest="standardise", action="store_false", help="give the policies rewards as they are")
    add("--confidence", type=float, help="unlabelled nodes act from this probability on (default: they never do)")
    add_run_options(parser)
    arguments = parser.parse_args(argv)
    check_seeds(parser, arguments)
    return arguments


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Run, print both tables, write what was asked for; returns the rows."""
    arguments = parse(argv)
    measured = collect(rows, arguments)
    show([row for row in measured if row["metric"] not in SHARES], f"FreeKD, {arguments.dataset}")
    show_shares(measured)
    return measured


if __name__ == "__main__":
    main()
