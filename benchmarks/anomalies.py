"""Find nodes that do not belong: scores by distillation, without labels of anomalies, on a graph where some are made.

``python -m benchmarks.anomalies --dataset cora --methods start,ordinal,uninformed --seeds 5``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN
from torch_geometric.utils import scatter
from tqdm import tqdm

from benchmarks.graph.procedures import fresh
from benchmarks.options import add_run_options, check_seeds, collect
from benchmarks.report import Row, show
from datasets import DATASETS, load
from graphkd import Distiller, fit
from graphkd.core.rng import seeded
from graphkd.losses import CE
from graphkd.schemes import changed, self_trained_scores, uninformed_scores
from recsys.evaluate.clicks import auc

STUDENTS, WIDTH, CANDIDATES = 3, 32, 50


class Scene(NamedTuple):
    """A graph some of whose nodes were given features from far away, and which: (N,)."""

    data: Data
    odd: Tensor


def disturbed(data: Data, share: float = 0.05, seed: int = 0) -> Scene:
    """Give a share of the nodes outside ``train_mask`` and ``val_mask`` the features of the farthest of some others.

    Attribute outliers as in BOND (Liu et al., NeurIPS 2022): the farthest by Euclidean distance of ``CANDIDATES`` nodes
    drawn for each.
    """
    generator = torch.Generator().manual_seed(seed)
    free = (~(data.train_mask | data.val_mask)).nonzero()[:, 0]
    chosen = free[torch.randperm(free.numel(), generator=generator)[: max(round(share * free.numel()), 1)]]
    drawn = torch.randint(data.num_nodes, (chosen.numel(), CANDIDATES), generator=generator)
    apart = torch.linalg.vector_norm(data.x[drawn] - data.x[chosen][:, None], dim=-1)
    sources = drawn.gather(1, apart.argmax(dim=1, keepdim=True))[:, 0]
    odd = torch.zeros(data.num_nodes, dtype=torch.bool).index_fill(0, chosen, True)
    return Scene(changed(data, x=data.x.index_copy(0, chosen, data.x[sources])), odd)


def neighbour_distance(data: Data) -> Tensor:
    """How far a node's features are from the mean of its neighbours': (N,), 0 without neighbours."""
    source, target = data.edge_index
    mean = scatter(data.x[source], target, dim_size=data.num_nodes, reduce="mean")
    alone = target.bincount(minlength=data.num_nodes) == 0
    return torch.linalg.vector_norm(data.x - mean, dim=1).masked_fill(alone, 0.0)


def _net(data: Data, out: int, seed: int) -> nn.Module:
    with seeded(seed):
        return GCN(data.num_features, WIDTH, 2, out)


def _start(scene: Scene, seed: int, epochs: int) -> Tensor:  # noqa: ARG001 - as the others are called
    """The detector that the self-trained student begins with."""
    return neighbour_distance(scene.data)


def _ordinal(scene: Scene, seed: int, epochs: int) -> Tensor:
    first = neighbour_distance(scene.data)
    return self_trained_scores(_net(scene.data, 1, seed), first, scene.data, epochs=epochs, seed=seed)


def _uninformed(scene: Scene, seed: int, epochs: int) -> Tensor:
    """A teacher of the classes, whose labelled nodes are the ordinary ones."""
    data = scene.data
    labels = Distiller(_net(data, int(data.y.max()) + 1, seed), losses=CE(where="train_mask"))
    teacher = fit(labels, data, epochs=epochs, seed=seed)
    first = _net(data, WIDTH, seed + 1)
    students = [first, *(fresh(first, seed + 1000 * number) for number in range(1, STUDENTS))]
    return uninformed_scores(students, teacher, data, "convs.0", epochs=epochs, seed=seed)


METHODS: dict[str, Callable[[Scene, int, int], Tensor]] = {
    "start": _start,
    "ordinal": _ordinal,
    "uninformed": _uninformed,
}


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """One row a method and seed."""
    with tqdm(total=arguments.seeds * len(arguments.methods), unit="run", disable=None) as shown:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            scene = disturbed(load(arguments.dataset, split=arguments.split, seed=seed), arguments.share, seed)
            for name in arguments.methods:
                started = time.perf_counter()
                scores = METHODS[name](scene, seed, arguments.epochs)
                about: dict[str, Any] = {
                    "dataset": arguments.dataset,
                    "split": arguments.split or next(iter(DATASETS[arguments.dataset])),
                    "teacher": "gcn" if name == "uninformed" else "itself",
                    "student": "gcn",
                    "method": name,
                    "seed": seed,
                }
                seconds = time.perf_counter() - started
                yield {**about, "metric": "auc", "value": auc(scores, scene.odd), "train_seconds": seconds}
                shown.update()


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anomalies", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--dataset", choices=sorted(DATASETS), default="cora", help="default: %(default)s")
    add("--split", help="a split of the dataset (default: its first)")
    add("--share", type=float, default=0.05, help="of the free nodes, to be made odd (default: %(default)s)")
    add("--epochs", type=int, default=50, help="of every training, in each round (default: %(default)s)")
    add("--methods", default=",".join(METHODS), help="comma-separated (default: %(default)s)")
    add_run_options(parser)
    arguments = parser.parse_args(argv)
    check_seeds(parser, arguments)
    arguments.methods = arguments.methods.split(",")
    unknown = sorted(set(arguments.methods) - set(METHODS))
    if unknown:
        parser.error(f"a method must be one of {', '.join(METHODS)}, got {', '.join(unknown)}")
    return arguments


def main(argv: list[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    measured = collect(rows, arguments)
    show(measured, f"{arguments.dataset}, {100 * arguments.share:g} % odd")
    return measured


if __name__ == "__main__":
    main()
