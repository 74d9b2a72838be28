"""Find nodes that do not belong: scores by distillation, without labels of anomalies, on a graph where some are made.

``python -m benchmarks.anomalies --dataset cora --methods start,ordinal,uninformed --seeds 5``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN

import graphkd
from benchmarks.graph.scene import split_name
from benchmarks.options import add_data, add_methods, seeds, use_methods
from benchmarks.rows import Row, failed
from benchmarks.runs import Job, Place, about, tabulate
from datasets import DATASETS, load
from graphkd.core.batches import changed
from graphkd.core.method import Metadata
from graphkd.core.rng import seeded
from graphkd.schemes.semi.ordinal import neighbour_distance
from graphkd.tasks import AnomalyDetection
from graphkd.tasks.metrics import area_under_curve

WIDTH, CANDIDATES = 32, 50
START = Metadata("start", family="detector", paper="what 'ordinal' begins with", teacher=False)
METHODS: Mapping[str, Metadata] = {row.name: row for row in (START, *graphkd.methods(task="anomaly_detection"))}


def disturbed(data: Data, share: float = 0.05, seed: int = 0) -> Data:
    """Give a share of the nodes outside ``train_mask`` and ``val_mask`` the features of the farthest of some others.

    Attribute outliers as in BOND (Liu et al., NeurIPS 2022): the farthest by Euclidean distance of ``CANDIDATES`` nodes
    drawn for each. The entry ``odd`` says which, (N,).
    """
    generator = torch.Generator().manual_seed(seed)
    free = (~(data.train_mask | data.val_mask)).nonzero()[:, 0]
    chosen = free[torch.randperm(free.numel(), generator=generator)[: max(round(share * free.numel()), 1)]]
    drawn = torch.randint(data.num_nodes, (chosen.numel(), CANDIDATES), generator=generator)
    apart = torch.linalg.vector_norm(data.x[drawn] - data.x[chosen][:, None], dim=-1)
    sources = drawn.gather(1, apart.argmax(dim=1, keepdim=True))[:, 0]
    odd = torch.zeros(data.num_nodes, dtype=torch.bool).index_fill(0, chosen, True)
    return changed(data, x=data.x.index_copy(0, chosen, data.x[sources]), odd=odd)


def _net(data: Data, out: int, seed: int) -> nn.Module:
    with seeded(seed):
        return GCN(data.num_features, WIDTH, 2, out)


def run(arguments: argparse.Namespace, name: str, seed: int, place: Place) -> Iterator[Row]:
    """One method; the teacher of ``uninformed`` knows the classes, whose labelled nodes are the ordinary ones."""
    data = disturbed(load(arguments.dataset, split=arguments.split, seed=seed).data, arguments.share, seed)
    if name == "start":
        yield {"metric": "auc", "value": area_under_curve(neighbour_distance(data.x, data.edge_index), data.odd)}
        return
    options: dict[str, Any] = {
        "optimizer": partial(torch.optim.Adam, lr=0.01),
        "epochs": arguments.epochs,
        "seed": seed,
    }
    student, teacher = _net(data, 1, seed), None
    if METHODS[name].teacher:
        student = _net(data, WIDTH, seed + 1)  # regresses the teacher's hidden layer
        classes = _net(data, int(data.y.max()) + 1, seed)
        known = changed(data, val_mask=data.val_mask & False)  # the last epoch's
        teacher = graphkd.distil("none", classes, None, known, progress=False, **options).model
    settings = {"task": AnomalyDetection(labels="odd"), "hidden": "convs.0", **arguments.given[name]}
    found, costs = place.distil(name, student, teacher, data, **settings, **options)
    yield {"metric": "auc", "value": found.scores["test"]["auc"], **costs}


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """All methods, seed by seed."""
    known = about(arguments, arguments.dataset, split_name(arguments.dataset, arguments.split), "share", "epochs")
    for seed in seeds(arguments):
        for name in arguments.methods:
            own = {"teacher": "gcn" if METHODS[name].teacher else "itself", "student": "gcn", "method": name}
            own |= {"seed": seed, "settings": arguments.given[name]}
            yield Job({**known, **own}, partial(run, arguments, name, seed))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anomalies", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add_data(parser, DATASETS, "cora")
    add("--share", type=float, default=0.05, help="of the free nodes, to be made odd (default: %(default)s)")
    add("--epochs", type=int, default=50, help="of every training, in each round (default: %(default)s)")
    known = list(METHODS.values())
    groups = {"all": list(METHODS)}
    add_methods(parser, known, default="all", groups=groups)
    arguments = parser.parse_args(argv)
    use_methods(parser, arguments, known, groups)
    return arguments


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    return tabulate(arguments, jobs(arguments), f"{arguments.dataset}, {100 * arguments.share:g} % odd", base="start")


if __name__ == "__main__":
    sys.exit(failed(main()))
