"""Graphs that queries are asked of: data sets by name, and power-law graphs of any size."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets import CATALOGUE, load

POWER_LAW = "power-law-"
FEATURES, CLASSES = 128, 40  # of power-law graphs
_DEGREE, _EXPONENT = 15.0, 2.5
_HELD_OUT = 0.2  # of the nodes of a power-law graph
Numbers = np.ndarray[Any, np.dtype[Any]]


class Graph(NamedTuple):
    """A graph and those of its nodes that queries ask for.

    x: (N, F) float32. edge_index: (2, E), both directions of every edge. held_out: ids that no model was trained on.
    test: ids that quality is judged on, and labels (N,), where there are labels. data, task: what ``distil`` takes.
    """

    x: Tensor
    edge_index: Tensor
    held_out: Numbers
    classes: int
    test: Numbers | None = None
    labels: Numbers | None = None
    data: Any = None
    task: Any = None


def graph(name: str, seed: int = 0) -> Graph:
    """Give the graph of that name: of ``datasets.load``, or ``power-law-NODES``; ValueError for another."""
    if match := re.fullmatch(rf"{POWER_LAW}(\d+)", name):
        return _made(int(match[1]), seed)
    if "node_classification" not in CATALOGUE.get(name, {}):
        raise ValueError(f"a graph must be a data set of classified nodes or {POWER_LAW}NODES, got {name!r}")
    data, task = load(name, task="node_classification", seed=seed)
    labels = data.y.numpy()
    unseen = (~data.train_mask & (data.y >= 0)).nonzero().flatten().numpy()
    test = data.test_mask.nonzero().flatten().numpy()
    return Graph(data.x, data.edge_index, unseen, int(labels.max()) + 1, test, labels, data, task)


def _made(nodes: int, seed: int) -> Graph:
    random = np.random.default_rng(seed)
    edges = torch.from_numpy(power_law(nodes, random))
    x = torch.from_numpy(random.standard_normal((nodes, FEATURES), dtype=np.float32))
    held_out = np.sort(random.permutation(nodes)[: max(round(_HELD_OUT * nodes), 1)])
    return Graph(x, edges, held_out, CLASSES)


def power_law(nodes: int, random: np.random.Generator, degree: float = _DEGREE, exponent: float = _EXPONENT) -> Numbers:
    """Draw an undirected graph whose degrees fall off as k^-exponent: (2, E), both directions, sorted, each once.

    Chung and Lu, PNAS 2002: the ends of nodes · degree / 2 edges are drawn by weights w_i = u_i^(-1 / (exponent - 1)),
    u uniform, cut at sqrt(nodes · degree) so that no pair is expected more than once. Loops and repeats are dropped; a
    node without an edge gets one, to a node drawn uniformly. ValueError for fewer than two nodes.
    """
    if nodes < 2:
        raise ValueError(f"a power-law graph must have at least 2 nodes, got {nodes}")
    weights = (random.random(nodes) * (1 - 1e-4) + 1e-4) ** (-1 / (exponent - 1))
    reached = np.cumsum(np.minimum(weights, np.sqrt(nodes * degree)))
    ends = np.searchsorted(reached, random.random((2, int(nodes * degree / 2))) * reached[-1])
    ends = np.minimum(ends, nodes - 1)[:, ends[0] != ends[1]]  # a draw may be rounded up to the whole sum
    lonely = np.flatnonzero(np.bincount(ends.ravel(), minlength=nodes) == 0)
    others = (lonely + random.integers(1, nodes, lonely.size)) % nodes  # any but itself
    sources, targets = np.concatenate([ends, ends[::-1], [lonely, others], [others, lonely]], axis=1)
    keys = np.sort(sources * nodes + targets)
    keys = keys[np.diff(keys, prepend=-1) > 0]
    return np.stack([keys // nodes, keys % nodes])
