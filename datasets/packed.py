"""Arrays of a `.npz` file, read without pickle: packed strings, counts as TF-IDF, and distinct pairs of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

__all__ = ["arrays", "project", "sparse_rows", "strings", "tfidf", "undirected"]

Arrays = Mapping[str, np.ndarray]


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of a file into memory."""
    with np.load(path, allow_pickle=False) as held:
        return dict(held)


def strings(held: Arrays, name: str) -> list[str]:
    """Unpack strings from their bytes `<name>_utf8` and their first positions `<name>_offsets`."""
    raw, ends = held[f"{name}_utf8"].tobytes(), held[f"{name}_offsets"]
    return [raw[begin:end].decode() for begin, end in pairwise(ends)]


def tfidf(held: Arrays) -> sp.csr_array:
    """Compute log2(1 + count) (log((1 + N) / (1 + df)) + 1) of words, rows scaled to length 1: float64 (N, words).

    `x_indptr`, `x_indices` and `x_counts` are the counts as compressed rows; a row without words stays empty.
    """
    rows, words = len(held["x_indptr"]) - 1, len(held["vocab_offsets"]) - 1
    index = held["x_indices"].astype(np.int64)
    rarity = np.log((1 + rows) / (1 + np.bincount(index, minlength=words))) + 1
    weights = np.log2(1 + held["x_counts"].astype(np.float64)) * rarity[index]
    found = sp.csr_array((weights, index, held["x_indptr"].astype(np.int64)), shape=(rows, words))
    length = np.sqrt(found.multiply(found).sum(axis=1))
    return sp.csr_array(sp.diags_array(1 / np.where(length == 0, 1, length)) @ found)


def project(held: Arrays) -> np.ndarray:
    """Compute TF-IDF times the stored basis, columns divided by their standard deviation: (N, 128) float32."""
    x = tfidf(held) @ held["x_basis"].astype(np.float64)
    return (x / x.std(axis=0)).astype(np.float32)


def sparse_rows(matrix: sp.csr_array) -> Tensor:
    """Convert a matrix to a sparse CSR tensor, float32."""
    parts = (torch.from_numpy(part.astype(np.int64)) for part in (matrix.indptr, matrix.indices))
    return torch.sparse_csr_tensor(*parts, torch.from_numpy(matrix.data).float(), matrix.shape)


def undirected(source: np.ndarray, target: np.ndarray, nodes: int) -> np.ndarray:
    """List both directions of each distinct pair, without loops: int64 (2, E), sorted."""
    a, b = source.astype(np.int64), target.astype(np.int64)
    key = np.unique(np.concatenate([a * nodes + b, b * nodes + a]))
    key = key[key // nodes != key % nodes]
    return np.stack([key // nodes, key % nodes])
