"""Datasets of the tests and benchmarks: `load(name)` gives one attributed graph with its split.

Part of the checkout only, never of the wheel: an installed package of this name would overwrite another's.
"""

from collections.abc import Callable
from pathlib import Path

from torch_geometric.data import Data

from datasets import cpf, digits, karate, planetoid, sbm

__all__ = ["DATASETS", "load"]

Build = Callable[[int, str | Path | None], Data]

# Every dataset, its splits (the first one is the default) and who builds them from a seed and a cache folder.
DATASETS: dict[str, dict[str, Build]] = {
    "digits": {"random": lambda seed, _root: digits.digits(seed)},
    "karate": {"random": lambda seed, _root: karate.karate(seed)},
    "cora": {
        "public": lambda _seed, root: planetoid.planetoid("Cora", root),
        "cpf": lambda seed, root: cpf.cpf("cora", seed, root),
    },
    "citeseer": {
        "public": lambda _seed, root: planetoid.planetoid("CiteSeer", root),
        "cpf": lambda seed, root: cpf.cpf("citeseer", seed, root),
    },
    "sbm": {"random": lambda seed, _root: sbm.sbm(seed=seed)},
}


def load(name: str, *, split: str | None = None, seed: int = 0, root: str | Path | None = None) -> Data:
    """One graph, undirected and without self loops, with its train, validation and test masks.

    Args:
        name: a key of `DATASETS`.
        split: one of the dataset's splits; None is the first of them, `public` for the citation graphs and
            `random` for the others.
        seed: draws the split, and the graph where it is synthetic; `public` splits are fixed and ignore it.
        root: folder for downloads, by default `$GRAPHKD_CACHE` or `~/.cache/graphkd`.

    Shapes:
        x (N, F) float32; edge_index (2, E) int64 with both directions of every edge, each once; y (N,)
        int64; train_mask, val_mask, test_mask (N,) bool, disjoint.

    Raises:
        ValueError: the name, the split or the seed is not one that exists.
        RuntimeError: a raw file could not be downloaded or does not have its checksum.
    """
    if name not in DATASETS:
        raise ValueError(f"name must be one of {list(DATASETS)}, got {name!r}")
    builds = DATASETS[name]
    split = next(iter(builds)) if split is None else split
    if split not in builds:
        raise ValueError(f"split of {name!r} must be one of {list(builds)}, got {split!r}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be between 0 and 2**32 - 1, got {seed!r}")
    return builds[split](seed, root)
