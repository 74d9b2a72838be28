"""Families of small graphs, classified by how they were generated; they need no download."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import coalesce, degree, remove_self_loops

__all__ = ["FAMILIES", "GraphSplit", "graph_family"]

Make = Callable[[Any, int, int], Any]  # networkx, nodes, seed -> a graph; an even number of nodes, at least 6


class GraphSplit(NamedTuple):
    """The graphs of a family, each in one part, with equally many graphs of every class in a part."""

    train: list[Data]
    val: list[Data]
    test: list[Data]


# Every family, and the generator of each of its classes; a class's number is its position.
FAMILIES: dict[str, dict[str, Make]] = {
    "shapes": {
        "tree": lambda networkx, nodes, seed: networkx.random_labeled_tree(nodes, seed=seed),
        "cycle": lambda networkx, nodes, _: networkx.cycle_graph(nodes),
        "ladder": lambda networkx, nodes, _: networkx.circular_ladder_graph(nodes // 2),
    },
    # Three models of random graphs with about two edges a node.
    "random": {
        "erdos_renyi": lambda networkx, nodes, seed: networkx.gnm_random_graph(nodes, 2 * nodes, seed=seed),
        "barabasi_albert": lambda networkx, nodes, seed: networkx.barabasi_albert_graph(nodes, 2, seed=seed),
        "watts_strogatz": lambda networkx, nodes, seed: networkx.watts_strogatz_graph(nodes, 4, 0.1, seed=seed),
    },
}


def graph_family(
    name: str,
    *,
    per_class: int = 100,
    min_nodes: int = 10,
    max_nodes: int = 28,
    max_degree: int = 9,
    noise: float = 0.1,
    seed: int = 0,
) -> GraphSplit:
    """Generate graphs of several classes by networkx: 60 % training, 20 % validation, 20 % test graphs of every class.

    Args:
        name: a key of `FAMILIES`.
        per_class: graphs of a class.
        min_nodes: least nodes of a graph; numbers of nodes are even and uniform between the two bounds.
        max_nodes: most nodes of a graph.
        max_degree: features are one-hot degrees; greater degrees count as this one.
        noise: probability that one end of an edge is replaced by a uniformly drawn node.
        seed: of everything random.

    Shapes:
        Each graph: x (n, max_degree + 1) float32; edge_index (2, E) int64, undirected, each direction once,
        without self loops, nodes in random order; y (1,) int64.

    Raises:
        ValueError: the name is unknown or a number out of range.
    """
    if name not in FAMILIES:
        raise ValueError(f"name must be one of {list(FAMILIES)}, got {name!r}")
    for argument, value, holds, range_ in (
        ("per_class", per_class, per_class >= 1, "at least 1"),
        ("min_nodes", min_nodes, min_nodes >= 6, "at least 6"),
        ("max_nodes", max_nodes, max_nodes > min_nodes, f"above min_nodes = {min_nodes}"),
        ("max_degree", max_degree, max_degree >= 1, "at least 1"),
        ("noise", noise, 0 <= noise <= 1, "between 0 and 1"),
    ):
        if not holds:
            raise ValueError(f"{argument} must be {range_}, got {value}")
    random = np.random.default_rng(seed)
    split = GraphSplit([], [], [])
    ends = np.array([0.6, 0.8]) * per_class
    for label, make in enumerate(FAMILIES[name].values()):
        for number in range(per_class):
            nodes = 2 * int(random.integers((min_nodes + 1) // 2, max_nodes // 2 + 1))
            edges = _edges(make, nodes, noise, random)
            split[int(np.searchsorted(ends, number, side="right"))].append(_graph(edges, nodes, label, max_degree))
    return split


def _edges(make: Make, nodes: int, noise: float, random: np.random.Generator) -> np.ndarray:
    """Generate both directions of every edge, (2, E), with noise and the nodes in random order."""
    import networkx  # only these datasets and karate need it

    graph = make(networkx, nodes, int(random.integers(2**31)))
    edges = np.array(graph.edges, dtype=np.int64).T
    edges[1] = np.where(random.random(edges.shape[1]) < noise, random.integers(nodes, size=edges.shape[1]), edges[1])
    edges = random.permutation(nodes)[edges]
    return np.concatenate([edges, edges[::-1]], axis=1)


def _graph(edges: np.ndarray, nodes: int, label: int, max_degree: int) -> Data:
    edge_index, _ = remove_self_loops(coalesce(torch.from_numpy(edges), num_nodes=nodes))
    degrees = degree(edge_index[0], nodes, dtype=torch.long).clamp(max=max_degree)
    x = torch.nn.functional.one_hot(degrees, max_degree + 1).float()
    return Data(x=x, edge_index=edge_index, y=torch.tensor([label]))
