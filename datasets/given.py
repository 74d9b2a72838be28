"""Any graphs as parts of a task: with their published masks or parts, or with a random split on request."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.utils import degree

from datasets.checked import Built
from datasets.link_splits import Links, link_split
from datasets.loaded import Loaded, labelled_type, loaded
from datasets.molecules import Graphs
from datasets.shares import random_shares

__all__ = ["given", "masks_of"]

MASKS = ("train_mask", "val_mask", "test_mask")
PARTS = {"train": "train", "valid": "val", "val": "val", "test": "test"}  # OGB's names and ours
DEGREES = 64  # columns of one-hot degrees, the last one for this degree and all greater ones
SHARES = (0.8, 0.9)  # of graphs: where training and validation end
FEATURES = (None, "degree")


def given(
    kind: str,
    found: Built | Mapping[str, Built],
    *,
    split: str | None = None,
    seed: int = 0,
    inductive: bool = False,
    node_type: str | None = None,
    features: str | None = None,
) -> Loaded:
    """Return data and task of given graphs; splits and features are never guessed.

    Args:
        kind: a key of `datasets.loaded.TASKS`.
        found: the result of `datasets.checked.built` or `datasets.dotted.of_class`.
        split: None for the published one: masks (if they have k columns, column `seed` modulo k), OGB's ids, or the
            class's own parts. Graphs without one need "random": a tenth of the nodes to train and a tenth to validate,
            or 80 and 10 % of the graphs. Links are always drawn, see `datasets.link_splits.link_split`.
        seed: of all draws.
        inductive: keep a part of the test nodes from training; for random splits.
        node_type: the predicted type of a heterogeneous graph, if several types have labels.
        features: "degree" gives nodes without `x` the one-hot count of the edges that enter them.

    Raises:
        ValueError: a split or features are missing, or the graphs belong to another task.
    """
    if split not in (None, "random"):
        raise ValueError(f"split must be 'random' or left out, for the published one, got {split!r}")
    if features not in FEATURES:
        raise ValueError(f"features must be 'degree' or left out, got {features!r}")
    if kind.startswith("graph_"):
        return loaded(kind, _graphs(found, split, seed, features))
    whole = _with_features(_one(kind, found), features)
    if kind == "link_prediction":
        return loaded(kind, _links(whole, seed))
    column = _column(whole, seed) if split is None else None
    own = whole if isinstance(whole, Data) else whole[node_type or labelled_type(whole)]
    options = {} if column is None else {"split": column}
    if split is None and isinstance(found, Built) and found.split is not None:
        own.update(masks_of(found.split, int(own.num_nodes or 0)))
    elif split == "random":
        own.update(random_shares(_labelled(own.y), seed).masks())
    elif not all(name in own for name in MASKS):
        missing = [name for name in MASKS if name not in own]
        raise ValueError(f"the graph has no {missing}: ask for a random split, split='random', --split random")
    return loaded(kind, whole, inductive=inductive, node_type=node_type, **options)


def _one(kind: str, found: Built | Mapping[str, Built]) -> Any:
    graphs = found.graphs if isinstance(found, Built) else None
    if graphs is None or len(graphs) != 1:
        count = "parts of graphs" if graphs is None else f"{len(graphs)} graphs"
        raise ValueError(f"a {kind} is of one graph, the data set has {count}: of graphs it is a graph_classification")
    graph = graphs[0]
    if not isinstance(graph, (Data, HeteroData)):
        raise TypeError(f"a graph must be PyG's Data or HeteroData, got {type(graph).__name__}")
    return copy.copy(graph)


def _column(whole: Any, seed: int) -> int | None:
    """Return the column of masks (N, k) that a seed uses; None for masks (N,)."""
    stores = [whole] if isinstance(whole, Data) else whole.node_stores
    widths = {store[name].size(1) for store in stores for name in MASKS if name in store and store[name].dim() == 2}
    return seed % min(widths) if widths else None


def _graphs(found: Built | Mapping[str, Built], split: str | None, seed: int, features: str | None) -> Graphs:
    if not isinstance(found, Built):
        parts = {part: list(each.graphs) for part, each in found.items()}
        if split is None:
            return Graphs(**{part: [_with_features(graph, features) for graph in each] for part, each in parts.items()})
        graphs = [graph for part in parts.values() for graph in part]
        ids = None
    else:
        graphs, ids = list(found.graphs), found.split
    if split == "random":
        order = np.random.RandomState(seed).permutation(len(graphs))
        chosen = np.split(order, [round(share * len(order)) for share in SHARES])
    elif ids is not None:
        chosen = [ids[name].numpy() for name in ("train", "valid", "test")]
    else:
        raise ValueError(
            f"{len(graphs)} graphs have no parts of their own: ask for a random split, split='random', --split random"
        )
    return Graphs(*([_with_features(graphs[int(i)], features) for i in part] for part in chosen))


def _links(whole: Any, seed: int) -> Links:
    if not isinstance(whole, Data):
        raise TypeError(
            "links of heterogeneous graphs are split by RandomLinkSplit(edge_types=...), for "
            "LinkPrediction(edge_type=...): there is no split of them here"
        )
    return link_split(whole, seed)


def _labelled(y: Tensor) -> np.ndarray:
    known = ~y.isnan() if y.is_floating_point() else y >= 0
    rows: np.ndarray = (known if known.dim() == 1 else known.flatten(1).any(dim=1)).numpy()
    return rows


def masks_of(split: Mapping[str, Tensor], rows: int) -> dict[str, Tensor]:
    """Convert OGB's ids to masks."""
    ids = {PARTS[name]: part for name, part in split.items()}
    return {f"{name}_mask": torch.zeros(rows, dtype=torch.bool).index_fill(0, part, True) for name, part in ids.items()}


def _with_features(graph: Any, features: str | None) -> Any:
    """Return the graph if all nodes have features, else with those requested; ValueError if none were requested."""
    stores = [graph] if isinstance(graph, Data) else graph.node_stores
    bare = [getattr(store, "_key", None) for store in stores if store.get("x") is None]
    if not bare:
        return graph
    if features is None:
        where = f"node types {bare}" if isinstance(graph, HeteroData) else "nodes"
        raise ValueError(f"{where} have no features 'x': ask for some, features='degree', --features degree")
    graph = copy.copy(graph)
    for key in bare:
        store = graph if key is None else graph[key]
        own = [graph] if key is None else [graph[kind] for kind in graph.edge_types if kind[2] == key]
        ends = torch.cat([each.edge_index[1] for each in own] or [torch.empty(0, dtype=torch.long)])
        count = degree(ends, store.num_nodes, torch.long).clamp(max=DEGREES - 1)
        store.x = F.one_hot(count, DEGREES).float()
    return graph
