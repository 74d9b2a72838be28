"""Adapt a classifier of handwritten digits to images that are turned: what methods of two domains give in the target.

``python -m benchmarks.domains --degrees 45 --seeds 5 --threads 1``

Half of the images stand upright and are labelled, the source; the others are turned, without labels, and are tested.
Nothing of the target chooses an epoch or a setting: every training runs to its last epoch. ``none`` is the student of
the source's labels alone; a teacher is another such. Experts of ``multi_target`` adapt to a half of the target each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MLP

import graphkd
from benchmarks.measure import peak_memory
from benchmarks.options import add_methods, seeds, use_methods
from benchmarks.rows import BASE, Row, failed
from benchmarks.runs import Job, Place, about, shared_model, tabulate
from datasets.digits import digits, turned
from graphkd.core.distilled import Distilled
from graphkd.core.method import Metadata
from graphkd.core.rng import seeded
from graphkd.tasks import accuracy

ADAPT = [row for row in graphkd.methods(family="domains") if "domains" in row.needs]
METHODS: Mapping[str, Metadata] = {row.name: row for row in graphkd.methods() if row.name == BASE or row in ADAPT}
HIDDEN = 64


def halves(degrees: float, seed: int) -> tuple[Data, Tensor]:
    """Images without a graph, and the domain of each: 0 upright, 1 and 2 turned."""
    whole = digits()
    order = torch.randperm(whole.num_nodes, generator=torch.Generator().manual_seed(seed))
    source = order < whole.num_nodes // 2
    x = torch.where(source[:, None], whole.x, turned(whole.x, degrees))
    return Data(x=x, y=whole.y, train_mask=source, test_mask=~source), torch.where(source, 0, 1 + order % 2)


def student(seed: int) -> nn.Module:
    """A multilayer perceptron with weights of the seed."""
    with seeded(seed):
        return MLP([64, HIDDEN, 10], norm=None)


def teacher(arguments: argparse.Namespace, data: Data, seed: int, place: Place) -> nn.Module:
    """Another model of the source, which all methods of a seed share."""

    def train(place: Place) -> tuple[Distilled, Row]:
        return place.distil(BASE, student(seed + 1000), None, data, epochs=arguments.epochs, seed=seed + 1000)

    told = {"dataset": "digits", "split": split_of(arguments), "kind": "mlp", "seed": seed, "epochs": arguments.epochs}
    return shared_model(told, student(seed + 1000), train, place, arguments.runs).model


def split_of(arguments: argparse.Namespace) -> str:
    """The name of the target."""
    return f"turned-{arguments.degrees:g}"


def run(arguments: argparse.Namespace, name: str, seed: int, place: Place) -> Iterator[Row]:
    """One method: accuracy in the target, and in the source."""
    data, domains = halves(arguments.degrees, seed)
    row, given = METHODS[name], dict[str, Any](arguments.given[name])
    if "domains" in row.needs:
        given["domains"] = domains if name == "multi_target" else domains.clamp(max=1)
    taught = teacher(arguments, data, seed, place) if row.teacher and name != BASE else None
    options = {"hidden": "lins.0", "epochs": arguments.epochs, "seed": seed}
    found, costs = place.distil(name, student(seed), taught, data, **options, **given)
    sizes = {"parameters": sum(p.numel() for p in found.model.parameters())}
    sizes["peak_memory_mb"] = peak_memory(partial(found.model, data.x)) / 2**20
    scores = {"accuracy": accuracy(found.model, data), "source": accuracy(found.model, data, "train_mask")}
    yield from ({"metric": metric, "value": value, **sizes, **costs} for metric, value in scores.items())


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """Every method of every seed."""
    told = about(arguments, "digits", split_of(arguments), "degrees", "epochs")
    for seed in seeds(arguments):
        for name in arguments.methods:
            own = {"teacher": "mlp", "student": "mlp", "method": name, "seed": seed, "settings": arguments.given[name]}
            yield Job({**told, **own}, partial(run, arguments, name, seed))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.domains", description=(__doc__ or "").splitlines()[0])
    add, known = parser.add_argument, list(METHODS.values())
    add("--degrees", type=float, default=45, help="by which the target is turned (default: %(default)s)")
    add("--epochs", type=int, default=200, help="of every stage (default: %(default)s)")
    groups = {"all": list(METHODS)}
    add_methods(parser, known, default="all", groups=groups)
    arguments = parser.parse_args(argv)
    use_methods(parser, arguments, known, groups)
    return arguments


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    title = f"digits turned by {arguments.degrees:g} degrees, {arguments.seeds} seeds"
    return tabulate(arguments, jobs(arguments), title, metrics=["accuracy", "source"])


if __name__ == "__main__":
    sys.exit(failed(main()))
