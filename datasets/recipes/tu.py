"""NCI1 and PROTEINS in the text format of Zhang et al., with their ten folds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = ["tu"]

FOLDS = 10


class Graph(NamedTuple):
    """A graph of the text format: class, labels of nodes, distinct pairs a < b."""

    label: int
    nodes: list[int]
    pairs: list[tuple[int, int]]
    numbers: list[float]  # one per node, if any


def tu(folder: Path) -> dict[str, np.ndarray]:
    """Build arrays of the graphs in `NAME.txt` of a folder NAME, and of their test folds, -1 for none.

    From Zhang et al., "An End-to-End Deep Learning Architecture for Graph Classification", AAAI 2018, whose repository
    has the folder as `data/NAME`. Labels are renumbered, loops dropped.
    """
    graphs = list(_read((folder / f"{folder.name}.txt").read_text().split("\n")))
    fold = np.full(len(graphs), -1, np.int8)
    for number in range(FOLDS):
        own = np.array((folder / "10fold_idx" / f"test_idx-{number + 1}.txt").read_text().split(), int)
        if (fold[own] >= 0).any():
            raise ValueError(f"{folder}: fold {number + 1} tests graphs that another fold tests")
        fold[own] = number
    pairs = np.array([pair for graph in graphs for pair in graph.pairs], np.int16).reshape(-1, 2)
    found = {
        "y": _anew([graph.label for graph in graphs]),
        "node_ptr": _starts([len(graph.nodes) for graph in graphs]),
        "edge_ptr": _starts([len(graph.pairs) for graph in graphs]),
        "node_label": _anew([label for graph in graphs for label in graph.nodes]),
        "edge_a": pairs[:, 0],
        "edge_b": pairs[:, 1],
        "fold": fold,
    }
    numbers = [value for graph in graphs for value in graph.numbers]
    return {**found, "attr": np.array(numbers, np.float32)} if numbers else found


def _read(lines: list[str]) -> Iterator[Graph]:
    rest = iter(lines)
    for _ in range(int(next(rest))):
        count, label = map(int, next(rest).split())
        rows = [next(rest).split() for _ in range(count)]
        ends = [(node, int(other)) for node, row in enumerate(rows) for other in row[2 : 2 + int(row[1])]]
        pairs = sorted({(min(pair), max(pair)) for pair in ends if pair[0] != pair[1]})
        further = [row[2 + int(row[1]) :] for row in rows]
        numbers = [float(row[0]) for row in further if len(row) == 1]
        yield Graph(label, [int(row[0]) for row in rows], pairs, numbers)


def _starts(sizes: list[int]) -> np.ndarray:
    return np.cumsum([0, *sizes]).astype(np.int32)


def _anew(labels: list[int]) -> np.ndarray:
    """Renumber labels by their order."""
    numbers: np.ndarray = np.unique(labels, return_inverse=True)[1].astype(np.int8)
    return numbers
