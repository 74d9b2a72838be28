"""Clients that keep their graphs: federated distillation on label-skewed parts of one graph.

``python -m benchmarks.federated --dataset cora --clients 5 --methods alone,fedavg,feddf,fedmd --seeds 5``
``--models gcn,sage,mlp,gat`` gives clients different models in turn; methods that average all weights then drop out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from statistics import fmean

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from tqdm import tqdm

from benchmarks.gnn import cost
from benchmarks.graph.models import HIDDEN, build
from benchmarks.graph.procedures import fresh
from benchmarks.graph.recipes import student_recipe
from benchmarks.options import add_options, collect, use_options
from benchmarks.report import Row, show
from datasets import DATASETS, load
from graphkd.schemes.federated import METHODS, Client, Federation, Method, class_parts, dirichlet_parts, fedftg
from graphkd.tasks import accuracy

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


def methods(classes: int) -> dict[str, Callable[[], Method]]:
    """All methods, and clients that learn alone."""
    return {"alone": lambda: Method("answers"), **METHODS, "fedftg": lambda: fedftg(classes)}


def model(name: str, dataset: str, data: Data, seed: int) -> nn.Module:
    """A model of its benchmark recipe's width, with weights from the seed."""
    recipe = student_recipe(name, dataset)
    shape = {"hidden": recipe.hidden, "dropout": recipe.dropout}
    return fresh(build(name, data.num_features, int(data.y.max()) + 1, **shape), seed)


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """One row a measured value, method by method."""
    total = arguments.seeds * len(arguments.methods)
    with tqdm(total=total, unit="run", disable=None) as shown:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            data = load(arguments.dataset, split=arguments.split, seed=seed)
            for name in arguments.methods:
                shown.set_postfix_str(f"{name}, seed {seed}")
                yield from runs(arguments, data, name, seed)
                shown.update()


def runs(arguments: argparse.Namespace, data: Data, name: str, seed: int) -> Iterator[Row]:
    """One method: the mean accuracy of the clients' models on nodes of the whole graph, tested and held back."""
    parts, public, whole = split_up(data, arguments, seed)
    kinds = [arguments.models[k % len(arguments.models)] for k in range(len(parts))]
    clients = [
        Client(model(kind, arguments.dataset, data, seed), part)
        for kind, part in zip(kinds, parts, strict=True)
        if int(part.train_mask.sum())  # Dirichlet may leave a client without labels
    ]
    server = model(arguments.server, arguments.dataset, data, seed)
    options = {"local": {"epochs": arguments.local_epochs}, "distil": {"epochs": arguments.distil_epochs}}
    method = methods(int(data.y.max()) + 1)[name]()
    try:
        task = Federation(method, clients, public, server, seed=seed, **options)
    except ValueError as error:
        tqdm.write(f"{name} is left out: {error}")
        return
    started = time.perf_counter()
    found = task.run(arguments.rounds, progress=False)
    about = {
        "dataset": arguments.dataset,
        "split": arguments.split or next(iter(DATASETS[arguments.dataset])),
        "teacher": "clients",
        "student": "+".join(dict.fromkeys(kinds)),
        "method": name,
        "seed": seed,
        "train_seconds": time.perf_counter() - started,
        **cost(found[0], whole),
    }
    tested, held = ([accuracy(each, whole, mask) for each in found] for mask in ("test_mask", "val_mask"))
    for metric, value in (("accuracy", fmean(tested)), ("worst_client", min(tested)), ("validation", fmean(held))):
        yield {**about, "metric": metric, "value": value}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.federated", description=(__doc__ or "").splitlines()[0])
    add, names = parser.add_argument, list(methods(1))
    add("--dataset", choices=sorted(DATASETS), default="cora", help="default: %(default)s")
    add("--split", help="a split of the dataset (default: its first; 'cpf' is the README's)")
    add(
        "--models", default="gcn", help=f"of the clients in turn, of {', '.join(sorted(HIDDEN))} (default: %(default)s)"
    )
    add("--server", default="gcn", choices=sorted(HIDDEN), help="the server's own model, where a method has one")
    add("--clients", type=int, default=5, help="default: %(default)s")
    add("--alpha", type=float, default=0.5, help="Dirichlet label skew, less is more (default: %(default)s)")
    add("--classes", type=int, help="so many classes a client, instead of --alpha")
    add("--public", type=float, default=0.5, help="share of unlabelled nodes that all see (default: %(default)s)")
    add("--rounds", type=int, default=5, help="default: %(default)s")
    add("--local-epochs", type=int, default=40, help="a round, on own rows (default: %(default)s)")
    add("--distil-epochs", type=int, default=200, help="a round, on public rows (default: %(default)s)")
    add_options(parser, names, default="alone,fedavg,feddf,fedmd", groups=("all",))
    arguments = parser.parse_args(argv)

    def check(name: str) -> None:
        if name not in names:
            raise ValueError(f"a method must be one of {', '.join(names)}, got {name!r}")

    use_options(parser, arguments, {"all": names}, check)
    arguments.models = arguments.models.split(",")
    if set(arguments.models) - set(HIDDEN):
        parser.error(f"'--models' must be of {', '.join(sorted(HIDDEN))}, got {', '.join(arguments.models)}")
    return arguments


def main(argv: list[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    measured = collect(rows, arguments)
    if measured:
        skew = f"{arguments.classes} classes each" if arguments.classes else f"Dirichlet({arguments.alpha})"
        show(measured, f"{arguments.dataset}, {arguments.clients} clients, {skew}, {arguments.rounds} rounds")
    return measured


if __name__ == "__main__":
    main()
