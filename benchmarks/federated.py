"""Clients that keep their graphs: federated distillation on label-skewed parts of one graph.

``python -m benchmarks.federated --dataset cora --clients 5 --methods alone,fedavg,feddf,fedmd --seeds 5``
``--models gcn,sage,mlp,gat`` gives clients different models in turn; methods that average all weights then fail.

Measured are the clients' models where the method gives these, else the global or the server's model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

import graphkd
from benchmarks.gnn import cost
from benchmarks.graph.models import HIDDEN, build
from benchmarks.graph.recipes import student_recipe
from benchmarks.graph.scene import fresh, split_name
from benchmarks.options import add_data, add_methods, seeds, use_methods
from benchmarks.rows import Row, failed
from benchmarks.runs import Job, Place, about, tabulate
from datasets import DATASETS, load
from graphkd.core.method import Metadata
from graphkd.schemes.federated import class_parts, dirichlet_parts
from graphkd.tasks import NodeClassification, accuracy

METHODS: Mapping[str, Metadata] = {row.name: row for row in graphkd.methods(family="federated")}
HELD = 0.25  # the share of labelled nodes whose labels nobody learns: settings are chosen by them


def drawn(mask: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A share of the nodes of a mask, in random order."""
    rows = mask.nonzero()[:, 0]
    return rows[torch.randperm(rows.numel(), generator=generator)[: int(share * rows.numel())]]


def split_up(data: Data, arguments: argparse.Namespace, seed: int) -> tuple[list[Data], Data, Data]:
    """Clients' sub-graphs, the public one, and the whole graph with the test nodes that are left.

    Public are a share of the nodes that are neither training nor validation nodes; they are not tested. Every other
    node belongs to one client, edges between clients are lost. Labels of the training and the validation nodes are
    known, but for a quarter of them, the new validation nodes. Public labels are read by methods that say so.
    """
    generator = torch.Generator().manual_seed(seed)
    labelled = data.train_mask | data.val_mask
    public = drawn(~labelled, arguments.public, generator)
    held = torch.zeros_like(labelled).index_fill(0, drawn(labelled, HELD, generator), True)
    whole = data.clone()
    whole.test_mask[public] = False
    whole.train_mask, whole.val_mask = labelled & ~held, held
    own = (~torch.zeros_like(data.test_mask).index_fill(0, public, True)).nonzero()[:, 0]
    if arguments.classes:
        parts = class_parts(data.y[own], arguments.clients, arguments.classes, seed=seed)
    else:
        parts = dirichlet_parts(data.y[own], arguments.clients, arguments.alpha, seed=seed)
    return [whole.subgraph(own[part]) for part in parts], whole.subgraph(public), whole


def model(name: str, dataset: str, data: Data, seed: int) -> nn.Module:
    """A model of its benchmark recipe's width, with weights from the seed."""
    recipe = student_recipe(name, dataset)
    shape = {"hidden": recipe.hidden, "dropout": recipe.dropout}
    return fresh(build(name, data.num_features, int(data.y.max()) + 1, **shape), seed)


def run(arguments: argparse.Namespace, name: str, seed: int, place: Place) -> Iterator[Row]:
    """One method: the mean accuracy of the clients' models on nodes of the whole graph, tested and held back."""
    data = load(arguments.dataset, split=arguments.split, seed=seed).data
    parts, public, whole = split_up(data, arguments, seed)
    kinds = [arguments.models[k % len(arguments.models)] for k in range(len(parts))]
    having = [k for k, part in enumerate(parts) if int(part.train_mask.sum())]  # Dirichlet may leave one without labels
    students = [model(kinds[k], arguments.dataset, data, seed) for k in having]
    row = METHODS[name]
    known: dict[str, Any] = {"rounds": arguments.rounds, "local_epochs": arguments.local_epochs, "public": public}
    known |= {
        "distil_epochs": arguments.distil_epochs,
        "server": model(arguments.server, arguments.dataset, data, seed),
    }
    settings = {key: value for key, value in known.items() if key in row.needs or key in row.settings}
    clients = graphkd.Clients([parts[k] for k in having], students=students)
    task = NodeClassification(evaluate_on=whole)
    found, costs = place.distil(
        name, None, None, clients, task=task, seed=seed, **{**settings, **arguments.given[name]}
    )
    models = list(getattr(found.model, "models", [found.model]))
    costs |= cost(models[0], whole)
    tested, held = ([accuracy(each, whole, mask) for each in models] for mask in ("test_mask", "val_mask"))
    for metric, value in (("accuracy", fmean(tested)), ("worst_client", min(tested)), ("validation", fmean(held))):
        yield {"metric": metric, "value": value, **costs}


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """All methods, seed by seed."""
    names = ("clients", "alpha", "classes", "public", "rounds", "local_epochs", "distil_epochs", "server")
    known = about(arguments, arguments.dataset, split_name(arguments.dataset, arguments.split), *names)
    known |= {"teacher": "clients", "student": "+".join(dict.fromkeys(arguments.models[: arguments.clients]))}
    for seed in seeds(arguments):
        for name in arguments.methods:
            own = {"method": name, "seed": seed, "settings": arguments.given[name]}
            yield Job({**known, **own}, partial(run, arguments, name, seed))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.federated", description=(__doc__ or "").splitlines()[0])
    add, known, kinds = parser.add_argument, list(METHODS.values()), ", ".join(sorted(HIDDEN))
    add_data(parser, DATASETS, "cora")
    add("--models", default="gcn", help=f"of the clients in turn, of {kinds} (default: %(default)s)")
    add("--server", default="gcn", choices=sorted(HIDDEN), help="the server's own model, where a method has one")
    add("--clients", type=int, default=5, help="default: %(default)s")
    add("--alpha", type=float, default=0.5, help="Dirichlet label skew, less is more (default: %(default)s)")
    add("--classes", type=int, help="so many classes a client, instead of --alpha")
    add("--public", type=float, default=0.5, help="share of unlabelled nodes that all see (default: %(default)s)")
    add("--rounds", type=int, default=5, help="default: %(default)s")
    add("--local-epochs", type=int, default=40, help="a round, on own rows (default: %(default)s)")
    add("--distil-epochs", type=int, default=200, help="a round, on public rows (default: %(default)s)")
    groups = {"all": list(METHODS)}
    add_methods(parser, known, default="alone,fedavg,feddf,fedmd", groups=groups)
    arguments = parser.parse_args(argv)
    use_methods(parser, arguments, known, groups)
    arguments.models = arguments.models.split(",")
    if set(arguments.models) - set(HIDDEN):
        parser.error(f"'--models' must be of {kinds}, got {', '.join(arguments.models)}")
    return arguments


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    skew = f"{arguments.classes} classes each" if arguments.classes else f"Dirichlet({arguments.alpha})"
    title = f"{arguments.dataset}, {arguments.clients} clients, {skew}, {arguments.rounds} rounds"
    return tabulate(arguments, jobs(arguments), title, base="alone")


if __name__ == "__main__":
    sys.exit(failed(main()))
