"""Datasets of the tests and benchmarks: `load(name)` returns data with their split, and the task to evaluate on it.

Part of the checkout only, never of the wheel: an installed package of this name could overwrite another one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets.catalogue import CATALOGUE, DATASETS, OPTIONS
from datasets.dotted import of_class
from datasets.given import given
from datasets.loaded import TASKS, Loaded, loaded

__all__ = ["CATALOGUE", "DATASETS", "Loaded", "load"]


def load(
    name: str,
    *,
    task: str | None = None,
    split: str | None = None,
    seed: int = 0,
    inductive: bool = False,
    root: str | Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    node_type: str | None = None,
    features: str | None = None,
) -> Loaded:
    """Return data and the task that evaluates on them, for `graphkd.distil`.

    Args:
        name: a key of `CATALOGUE`, or the path of one of PyG's classes, `"torch_geometric.datasets:Flickr"`.
        task: the kind, e.g. `"link_prediction"`; None for the data set's first one. A class needs it.
        split: one of the data set's splits for the task; None for the first. For a class None is its published split,
            and "random" draws one, see `datasets.given.given`.
        seed: of the split, and of a synthetic graph; of ten folds the number of the test fold, of masks (N, k) the
            column. `public` and other published splits are fixed and ignore it.
        inductive: keep new nodes from training; the task evaluates them separately.
        root: folder for downloads, by default `$GRAPHKD_CACHE` or `~/.cache/graphkd`.
        arguments: of a class.
        node_type: the predicted type of a class's heterogeneous graph, if several types have labels.
        features: "degree" for graphs of a class without features, see `datasets.given.given`.

    Shapes:
        One graph: x (N, F) float32; edge_index (2, E) int64 with both directions of every edge, each once, without
        loops; y (N,) int64, or (N, L) for several labels; train_mask, val_mask, test_mask (N,) bool, disjoint. Graphs:
        a loader of batches. Links: the training part, with `edge_label_index`. A class's data are not changed.

    Raises:
        ValueError: the name, the task, the split or the seed does not exist.
        RuntimeError: a raw file could not be downloaded or does not have its checksum.

    Example::

        data, task = load("cora", task="link_prediction")
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be between 0 and 2**32 - 1, got {seed!r}")
    if ":" in name:
        if task not in TASKS:
            raise ValueError(f"of {name!r} give 'task', one of {list(TASKS)}, got {task!r}")
        found = of_class(name, arguments, root)
        asked: dict[str, Any] = {"split": split, "seed": seed, "node_type": node_type, "features": features}
        return given(task, found, inductive=inductive, **asked)
    if arguments or node_type or features:
        raise ValueError("'arguments', 'node_type' and 'features' are of a class of data sets, 'module:Class'")
    if name not in CATALOGUE:
        raise ValueError(f"name must be one of {list(CATALOGUE)}, got {name!r}")
    task = next(iter(CATALOGUE[name])) if task is None else task
    if task not in CATALOGUE[name]:
        raise ValueError(f"task of {name!r} must be one of {list(CATALOGUE[name])}, got {task!r}")
    builds = CATALOGUE[name][task]
    split = next(iter(builds)) if split is None else split
    if split not in builds:
        raise ValueError(f"split of {name!r} must be one of {list(builds)}, got {split!r}")
    return loaded(task, builds[split](seed, root), inductive=inductive, **OPTIONS.get(name, {}))
