"""Stochastic block models of any size, in time and memory O(nodes + edges)."""

import math

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from datasets.splits import per_class_split

__all__ = ["sbm"]


def sbm(
    num_nodes: int = 10_000,
    num_classes: int = 5,
    num_features: int = 32,
    average_degree: float = 10.0,
    homophily: float = 0.8,
    seed: int = 0,
    *,
    separation: float = 2.0,
    train_per_class: int = 20,
    val_per_class: int = 30,
) -> Data:
    """Draw a graph with independent edges, with one probability within and one between classes.

    After Holland, Laskey and Leinhardt, "Stochastic Blockmodels: First Steps", 1983; features are Gaussian
    around the mean of the class.

    Args:
        num_nodes: nodes N, distributed over the classes as evenly as possible, in random order.
        num_classes: classes C.
        num_features: features F.
        average_degree: expected neighbours of a node.
        homophily: expected share of the edges that join two nodes of one class.
        seed: of everything random.
        separation: root-mean-square distance of two class means, in standard deviations of the features.
        train_per_class: training nodes per class.
        val_per_class: validation nodes per class; all other nodes are test nodes.

    Shapes:
        As in `datasets.load`; about N · average_degree directed edges.

    Raises:
        ValueError: an argument is out of range, the expected edges exceed the pairs of nodes, or a class is too small
            for the split.
    """
    _check(num_nodes, num_classes, num_features, average_degree, homophily, separation)
    random = np.random.default_rng(seed)
    sizes = num_nodes // num_classes + (np.arange(num_classes) < num_nodes % num_classes)
    nodes = random.permutation(num_nodes)  # cut into the classes, one after the other
    labels = np.empty(num_nodes, dtype=np.int64)
    labels[nodes] = np.repeat(np.arange(num_classes), sizes)
    edges = num_nodes * average_degree / 2
    within = _within(random, sizes, edges * homophily)
    between = _between(random, sizes, edges * (1 - homophily))
    ends = torch.from_numpy(nodes[np.concatenate([within, between], axis=1)])
    return Data(
        x=torch.from_numpy(_features(random, labels, num_classes, num_features, separation)),
        edge_index=to_undirected(ends, num_nodes=num_nodes),
        y=torch.from_numpy(labels),
        **per_class_split(labels, train_per_class, val_per_class, seed).masks(),
    )


def _check(
    num_nodes: int,
    num_classes: int,
    num_features: int,
    average_degree: float,
    homophily: float,
    separation: float,
) -> None:
    for name, value, holds, range_ in (
        ("num_classes", num_classes, 1 <= num_classes <= num_nodes, f"between 1 and num_nodes = {num_nodes}"),
        ("num_features", num_features, num_features >= 1, "at least 1"),
        ("average_degree", average_degree, average_degree >= 0, "at least 0"),
        ("homophily", homophily, 0 <= homophily <= 1, "between 0 and 1"),
        ("separation", separation, 0 <= separation < math.inf, "finite and at least 0"),
    ):
        if not holds:
            raise ValueError(f"{name} must be {range_}, got {value}")


def _features(
    random: np.random.Generator, labels: np.ndarray, num_classes: int, num_features: int, separation: float
) -> np.ndarray:
    # The squared distance of two means is 2F times the variance of an entry, on average.
    means = random.standard_normal((num_classes, num_features)) * separation / math.sqrt(2 * num_features)
    features = random.standard_normal((len(labels), num_features), dtype=np.float32)
    features += means.astype(np.float32)[labels]
    return features


def _within(random: np.random.Generator, sizes: np.ndarray, expected: float) -> np.ndarray:
    """Draw edges inside the classes, (2, E) positions in the order of classes."""
    rank, block = _draw_pairs(random, sizes * (sizes - 1) // 2, expected, "within")
    # On a circle of n places, pair number r joins place r mod n to the one r div n + 1 steps on: the first
    # n(n-1)/2 numbers give every unordered pair exactly once, in integers alone.
    first = rank % sizes[block]
    second = (first + rank // sizes[block] + 1) % sizes[block]
    return _starts(sizes)[block] + np.stack([first, second])


def _between(random: np.random.Generator, sizes: np.ndarray, expected: float) -> np.ndarray:
    """Draw edges between different classes, (2, E) positions in the order of classes."""
    left, right = np.triu_indices(len(sizes), 1)
    rank, block = _draw_pairs(random, sizes[left] * sizes[right], expected, "between")
    left, right = left[block], right[block]
    starts = _starts(sizes)
    return np.stack([starts[left] + rank // sizes[right], starts[right] + rank % sizes[right]])


def _starts(sizes: np.ndarray) -> np.ndarray:
    return np.cumsum(sizes) - sizes


def _draw_pairs(
    random: np.random.Generator, pairs: np.ndarray, expected: float, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Draw each pair with the same probability, `expected` pairs on average.

    `pairs` (B,) is the number of pairs of each block. Returns, for each drawn pair, its number within its block, and
    the block. The count is binomial and, given the count, all sets of pairs are equally likely.
    """
    total = int(pairs.sum())
    if expected > total:
        raise ValueError(
            f"average_degree and homophily must ask for at most {total} edges {where} classes, "
            f"the number of pairs of nodes there, got {expected:g}"
        )
    count = int(random.binomial(total, expected / total)) if total else 0
    rank = _draw_distinct(random, total, count)
    block = np.searchsorted(np.cumsum(pairs), rank, side="right")
    return rank - _starts(pairs)[block], block


def _draw_distinct(random: np.random.Generator, total: int, count: int) -> np.ndarray:
    """Draw a random set of `count` of the numbers below `total`, in O(count) memory."""
    if 2 * count > total:
        return random.permutation(total)[:count]
    # Each round draws only the missing numbers, so the set is that of the first `count` distinct draws: uniform.
    drawn = np.empty(0, dtype=np.int64)
    while len(drawn) < count:
        drawn = np.sort(np.concatenate([drawn, random.integers(total, size=count - len(drawn))]))
        drawn = drawn[np.diff(drawn, prepend=-1) > 0]  # ten times as fast as np.unique, which hashes
    return drawn
