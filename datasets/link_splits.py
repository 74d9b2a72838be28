"""Edges of a graph split for link prediction, with negative pairs and other ends against which edges are ranked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch_geometric.data import Data

__all__ = ["Links", "link_split"]

VAL, TEST = 0.05, 0.10  # shares of the pairs, as in LLP (Guo et al., ICML 2023)
RANKED = 50  # other targets, and as many other sources, against which a test edge is ranked


class Links(NamedTuple):
    """Parts with the same nodes; messages pass along training edges alone."""

    train: Data
    val: Data
    test: Data


def link_split(data: Data, seed: int = 0) -> Links:
    """Split the distinct undirected pairs of a graph: 85 % to train, 5 % to validate, 10 % to test.

    Validation and test also have as many uniform pairs that no edge joins. For each of their edges (u, v),
    `ranking_negatives` has 50 other ends of u, then 50 of v, drawn in proportion to their degree: uniform ends are too
    easy to distinguish from edges.

    Args:
        data: a graph with `x` and `edge_index`.
        seed: of all draws.

    Shapes:
        edge_index (2, 2 P) of the P training pairs in both directions; edge_label_index (2, M), edge_label (M,);
        ranking_negatives (edges, 100).
    """
    nodes = int(data.num_nodes or 0)
    random = np.random.RandomState(seed)  # the legacy generator's stream defines the split
    keys = _keys(data.edge_index.numpy(), nodes)
    pairs = np.stack([keys // nodes, keys % nodes])[:, random.permutation(len(keys))]
    a, b = int(VAL * len(keys)), int((VAL + TEST) * len(keys))
    val, test, train = pairs[:, :a], pairs[:, a:b], pairs[:, b:]
    others = _strangers(keys, nodes, b, random)
    ranked, chosen = (_rivals(keys, nodes, edges, random) for edges in (test, val))
    ways = torch.from_numpy(np.concatenate([train, train[::-1]], axis=1))

    def part(edges: np.ndarray, none: np.ndarray) -> Data:
        label = torch.cat([torch.ones(edges.shape[1]), torch.zeros(none.shape[1])])
        asked = torch.from_numpy(np.concatenate([edges, none], axis=1))
        return Data(x=data.x, edge_index=ways, edge_label_index=asked, edge_label=label)

    found = Links(part(train, others[:, :0]), part(val, others[:, :a]), part(test, others[:, a:]))
    found.test.ranking_negatives, found.val.ranking_negatives = map(torch.from_numpy, (ranked, chosen))
    return found


def _keys(ends: np.ndarray, nodes: int) -> np.ndarray:
    """Encode distinct pairs a < b as a * nodes + b, sorted, without loops."""
    keys = np.unique(ends.min(axis=0) * nodes + ends.max(axis=0))
    return keys[keys // nodes != keys % nodes]


def _strangers(keys: np.ndarray, nodes: int, count: int, random: np.random.RandomState) -> np.ndarray:
    """Draw distinct pairs that no edge joins, in the order of the draws, (2, count)."""
    found = np.empty(0, np.int64)
    while len(found) < count:
        u, v = random.randint(0, nodes, 2 * count), random.randint(0, nodes, 2 * count)
        drawn = np.minimum(u, v) * nodes + np.maximum(u, v)
        found = np.concatenate([found, drawn[(u != v) & ~np.isin(drawn, keys)]])
        found = found[np.sort(np.unique(found, return_index=True)[1])]
    return np.stack([found[:count] // nodes, found[:count] % nodes])


def _rivals(keys: np.ndarray, nodes: int, edges: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Draw for both ends of every edge nodes that it has no edge to, by degree, (edges, 2 RANKED)."""
    ends = np.stack([keys // nodes, keys % nodes]).ravel()
    sides = []
    for own in edges:
        fixed = np.repeat(own, RANKED)
        drawn = ends[random.randint(0, len(ends), len(fixed))]
        while len(again := np.flatnonzero(_joined(fixed, drawn, keys, nodes))):
            drawn[again] = ends[random.randint(0, len(ends), len(again))]
        sides.append(drawn.reshape(-1, RANKED))
    return np.concatenate(sides, axis=1)


def _joined(a: np.ndarray, b: np.ndarray, keys: np.ndarray, nodes: int) -> np.ndarray:
    return (a == b) | np.isin(np.minimum(a, b) * nodes + np.maximum(a, b), keys)
