"""PATE: a student of noisy votes, at the epsilon that they cost.

``python -m benchmarks.private --dataset digits --seeds 5 --threads 1``

The nodes are divided anew by each seed: a fifth is public and has no labels, of which ``--queries`` are asked about; a
fifth tests; the others are private, with their labels, in disjoint parts for ``--teachers`` models of the student's
kind. Edges between the three, and between parts, are dropped. No validation labels are read: all train to the end.
``teacher`` is the one of the first part, ``labels`` a student of the queries' true labels, ``votes`` one of votes
without noise: none is private.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data

from benchmarks.gnn import cost
from benchmarks.graph.models import HIDDEN
from benchmarks.graph.scene import Scene, fresh, options_of
from benchmarks.options import parse_run, seeds
from benchmarks.rows import Row, failed
from benchmarks.runs import Job, Place, about, tabulate
from datasets import DATASETS
from graphkd.core.checkpoint import load
from graphkd.schemes import privacy_spent
from graphkd.tasks import accuracy

SHARE = 0.2  # of the nodes that are public, and of those that test
NO_NOISE = 1e3  # a gamma at which no vote changes


def divide(data: Data, arguments: argparse.Namespace, seed: int) -> tuple[Data, Data]:
    """The graph of training, with the private part of every node (-1: public) and ``asked``, and that of test nodes."""
    generator = torch.Generator().manual_seed(seed)
    count = int(SHARE * data.num_nodes)
    order = torch.randperm(data.num_nodes, generator=generator)
    test, known = data.subgraph(order[count : 2 * count]), torch.cat([order[:count], order[2 * count :]])
    test.test_mask = torch.ones(count, dtype=torch.bool)
    parts = torch.full((data.num_nodes,), -1)
    for number, part in enumerate(order[2 * count :].tensor_split(arguments.teachers)):
        parts[part] = number
    train = data.subgraph(known)
    train.parts, train.train_mask = parts[known], parts[known] >= 0
    del train.val_mask, train.test_mask
    return train, test


def asked(train: Data, queries: int, seed: int) -> torch.Tensor:
    """The public nodes that PATE asks about, as it draws them from its seed."""
    public = (train.parts < 0).nonzero()[:, 0]
    drawn = torch.randperm(public.numel(), generator=torch.Generator().manual_seed(seed))[:queries]
    return public[drawn].sort().values


def run(arguments: argparse.Namespace, method: str, gamma: float | None, seed: int, place: Place) -> Iterator[Row]:
    """The first teacher, a student of true labels, or of votes at a strength of the noise."""
    scene = Scene(arguments.dataset, seed, student=arguments.student, teacher="gcn", epochs=arguments.epochs)
    train, test = divide(scene.whole, arguments, seed)
    options: dict[str, Any] = {**options_of({**scene.training(scene.recipe), "patience": 0}), "seed": seed}
    student, rows = fresh(scene.student(), seed), asked(train, arguments.queries, seed)
    if gamma is None:
        train.train_mask[rows] = True
        part = train.subgraph(train.parts == (0 if method == "teacher" else -1))
        found, costs = place.distil("none", student, None, part, **options)
        values = {} if method == "teacher" else {"labels_right": 1.0}
    else:
        with tempfile.TemporaryDirectory() as folder:
            own = place if place.folder is not None else Place(Path(folder), place.log)
            settings = {"gamma": gamma, "queries": arguments.queries, "parts": train.parts}
            found, costs = own.distil("pate", student, None, train, **settings, **options)
            votes = load(own.options()["checkpoint"] / "once" / "votes.pt")
        values = {"labels_right": float((votes["labels"] == train.y[rows]).float().mean())}
        if gamma != NO_NOISE:
            for metric, counts in (("", votes["counts"]), ("_of_any_votes", torch.zeros_like(votes["counts"]))):
                values[f"epsilon{metric}"] = privacy_spent(counts, gamma, delta=arguments.delta).epsilon
    costs |= cost(found.model, test)
    values = {"accuracy": accuracy(found.model, test), **values}
    yield from ({"metric": metric, "value": value, **costs} for metric, value in values.items())


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """A teacher, students of true labels, at each strength of the noise, and of votes without noise, seed by seed."""
    known = about(arguments, arguments.dataset, f"private-{arguments.teachers}", "epochs", "queries", "delta")
    known |= {"teacher": arguments.student, "student": arguments.student}
    strengths = {f"pate_{gamma:g}": gamma for gamma in arguments.gammas}
    for seed in seeds(arguments):
        for method, gamma in {"teacher": None, "labels": None, **strengths, "votes": NO_NOISE}.items():
            own = {"method": method, "seed": seed, "settings": {} if gamma is None else {"gamma": gamma}}
            yield Job({**known, **own}, partial(run, arguments, method, gamma, seed))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.private", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--dataset", choices=sorted(DATASETS), default="digits", help="default: %(default)s, embedded")
    add("--student", choices=sorted(HIDDEN), default="mlp", help="and every teacher (default: %(default)s)")
    add("--teachers", type=int, default=100, help="default: %(default)s")
    add("--queries", type=int, default=100, help="public nodes that are labelled by votes (default: %(default)s)")
    add("--gammas", default="0.05,0.1,0.2", help="inverse scales of the noise, comma-separated (default: %(default)s)")
    add("--delta", type=float, default=1e-5, help="default: %(default)s")
    add("--epochs", type=int, default=100, help="of every model (default: %(default)s)")
    arguments = parse_run(parser, argv)
    arguments.gammas = [float(text) for text in arguments.gammas.split(",")]
    for name, value in (("teachers", arguments.teachers), ("queries", arguments.queries)):
        if value < 1:
            parser.error(f"'--{name}' must be at least 1, got {value}")
    return arguments


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    title = f"{arguments.dataset}, {arguments.teachers} teachers, {arguments.queries} queries"
    return tabulate(arguments, jobs(arguments), title, base="labels")


if __name__ == "__main__":
    sys.exit(failed(main()))
