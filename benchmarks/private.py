"""PATE: a student of noisy votes, at the epsilon that they cost.

``python -m benchmarks.private --dataset digits --seeds 5 --threads 1``

The nodes are divided anew by each seed: a fifth is public and has no labels, of which ``--queries`` are asked about; a
fifth tests; the others are private, with their labels, in disjoint parts for ``--teachers`` models of the student's
kind. Edges between the three, and between parts, are dropped. No validation labels are read: all train to the end.
``labels`` is a student of the queries' true labels, ``votes`` one of votes without noise: neither is private.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from statistics import fmean
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Data
from tqdm import tqdm

from benchmarks.gnn import cost
from benchmarks.graph.models import HIDDEN, build
from benchmarks.graph.procedures import fresh
from benchmarks.graph.recipes import student_recipe
from benchmarks.graph.robust import private_parts
from benchmarks.options import add_run_options, check_seeds, collect
from benchmarks.report import Row, show
from datasets import DATASETS, load
from graphkd import Distiller, fit
from graphkd.losses import CE
from graphkd.schemes import pate, privacy_spent, private_teachers
from graphkd.tasks import accuracy

SHARE = 0.2  # of the nodes that are public, and of those that test


def divide(data: Data, arguments: argparse.Namespace, generator: torch.Generator) -> tuple[list[Data], Data, Data]:
    """Teachers' parts, the public graph with its ``query_mask``, and the graph of test nodes."""
    count = int(SHARE * data.num_nodes)
    order = torch.randperm(data.num_nodes, generator=generator)
    public, test = (data.subgraph(order[part : part + count]) for part in (0, count))
    public.query_mask = torch.arange(count) < arguments.queries  # in random order
    test.test_mask = torch.ones(count, dtype=torch.bool)
    return private_parts(data, order[2 * count :], arguments.teachers, generator), public, test


def runs(arguments: argparse.Namespace, data: Data, seed: int) -> Iterator[Row]:
    """One teacher, a student of true labels, one of votes without noise, and one at each strength of the noise."""
    generator = torch.Generator().manual_seed(seed)
    parts, public, test = divide(data, arguments, generator)
    recipe = student_recipe(arguments.student, arguments.dataset)
    options = {**recipe.options(seed), "patience": None, "epochs": arguments.epochs}
    model = build(
        arguments.student, data.num_features, int(data.y.max()) + 1, hidden=recipe.hidden, dropout=recipe.dropout
    )
    started = time.perf_counter()
    teachers = private_teachers([fresh(model, seed + 1000 * k) for k in range(1, len(parts) + 1)], parts, **options)
    yield from _values("teacher", teachers[0], test, started, {"accuracy": fmean(accuracy(t, test) for t in teachers)})
    started = time.perf_counter()
    known = fit(Distiller(fresh(model, seed), losses=CE(where="query_mask")), public, **options)
    yield from _values("labels", known, test, started, {"accuracy": accuracy(known, test), "labels_right": 1.0})
    for gamma in (*arguments.gammas, 1e3):  # the last: no noise that could change a vote
        started = time.perf_counter()
        found = pate(
            fresh(model, seed), teachers, public, gamma=gamma, delta=arguments.delta, generator=generator, **options
        )
        right = (found.votes.labels == public.y[public.query_mask]).float().mean()
        values = {"accuracy": accuracy(found.student, test), "labels_right": float(right)}
        if gamma in arguments.gammas:
            whatever = privacy_spent(torch.zeros_like(found.votes.counts), gamma, delta=arguments.delta)
            values |= {"epsilon": found.privacy.epsilon, "epsilon_of_any_votes": whatever.epsilon}
        name = f"pate_{gamma:g}" if gamma in arguments.gammas else "votes"
        yield from _values(name, found.student, test, started, values)


def _values(method: str, model: nn.Module, test: Data, started: float, values: dict[str, float]) -> Iterator[Row]:
    costs = {"train_seconds": time.perf_counter() - started, **cost(model, test)}
    yield from ({"method": method, "metric": metric, "value": value, **costs} for metric, value in values.items())


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """One row a measured value, seed by seed."""
    about = {
        "dataset": arguments.dataset,
        "split": f"private-{arguments.teachers}",
        "teacher": arguments.student,
        "student": arguments.student,
        "queries": arguments.queries,
        "delta": arguments.delta,
    }
    for seed in tqdm(range(arguments.first_seed, arguments.first_seed + arguments.seeds), unit="seed", disable=None):
        for row in runs(arguments, load(arguments.dataset, seed=seed), seed):
            yield {**about, "seed": seed, **row}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
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
    add_run_options(parser)
    arguments = parser.parse_args(argv)
    check_seeds(parser, arguments)
    arguments.gammas = [float(text) for text in arguments.gammas.split(",")]
    for name, value in (("teachers", arguments.teachers), ("queries", arguments.queries)):
        if value < 1:
            parser.error(f"'--{name}' must be at least 1, got {value}")
    return arguments


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    measured = collect(rows, arguments)
    show(measured, f"{arguments.dataset}, {arguments.teachers} teachers, {arguments.queries} queries")
    return measured


if __name__ == "__main__":
    main()
