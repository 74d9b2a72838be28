"""Sets of small graphs: NCI1 and PROTEINS in ten folds, and the solubility of molecules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data

from datasets.mirror import fetch
from datasets.packed import Arrays, arrays, strings

__all__ = ["Graphs", "nci1", "proteins", "solubility"]

FOLDS = 10
FILES = {
    "nci1": ("more/nci1.npz", "079777465c06d0477bc03c31f7d0640eb4ca50df978cf0923882b6aa3ca9cf65"),
    "proteins": ("more/proteins.npz", "6ba8b06513cdd488f277da5f6884334b00d8b64ccd7ffce61e4c2d249f092503"),
    "solubility": ("more/solubility.npz", "4832d8e4040ae6302597983b1f0cd57ff145112f60806c8dfe47c36b8d87c4e5"),
}
# The columns of an atom with their numbers of values; then those of a bond.
ATOM = {"element": 10, "degree": 7, "charge": 5, "hydrogens": 5, "hybridisation": 9, "aromatic": 2, "ring": 2}
BOND = {"kind": 4, "conjugated": 2, "ring": 2}
CHARGES = 2  # from -2 to 2


class Graphs(NamedTuple):
    """The graphs of each part."""

    train: list[Data]
    val: list[Data]
    test: list[Data]


def nci1(fold: int = 0, root: str | Path | None = None) -> Graphs:
    """Load molecules that act against a lung cancer, or do not: 4,110 graphs, 37 kinds of atoms, 2 classes.

    Args:
        fold: the test fold, 0 to 9; the next fold validates, the others train.
        root: cache folder, see `datasets.mirror.fetch`.
    """
    return _folds("nci1", fold, root)


def proteins(fold: int = 0, root: str | Path | None = None) -> Graphs:
    """Load proteins that are enzymes, or not: 1,113 graphs, 3 kinds of nodes, 2 classes; edges add no accuracy.

    Folds as in `nci1`; three graphs are in no test fold and always train.
    """
    return _folds("proteins", fold, root)


def solubility(seed: int = 0, root: str | Path | None = None) -> Graphs:
    """Load molecules with the logarithm of their solubility in water, mol/l: 1,025 to train, 257 to test, as published.

    A tenth of the training molecules, drawn by `seed`, validates. Atoms and bonds are one-hot columns, `x` and
    `edge_attr`; the first 15 columns of `x`, element and charge, say nothing of an atom's neighbours.
    """
    held = arrays(fetch(*_place("solubility"), root))

    def node(a: int, b: int) -> Tensor:
        columns = held["atom"][a:b].astype(np.int64)
        columns[:, 2] = np.clip(columns[:, 2] + CHARGES, 0, 2 * CHARGES)
        return _one_hot(columns[:, [0, 2, 1, 3, 4, 5, 6]], [ATOM[name] for name in _ORDER])

    graphs = _graphs(held, node, held["y"].astype(np.float32), held["bond"])
    for graph, smiles in zip(graphs, strings(held, "smiles"), strict=True):
        graph.smiles = smiles
    order = np.random.RandomState(seed).permutation(np.flatnonzero(held["part"] == 0))
    count = len(order) // 10
    test = np.flatnonzero(held["part"] == 1)
    return Graphs(*([graphs[i] for i in np.sort(ids)] for ids in (order[count:], order[:count], test)))


_ORDER = ("element", "charge", "degree", "hydrogens", "hybridisation", "aromatic", "ring")


def _folds(name: str, fold: int, root: str | Path | None) -> Graphs:
    if not 0 <= fold < FOLDS:
        raise ValueError(f"fold must be between 0 and {FOLDS - 1}, got {fold}")
    held = arrays(fetch(*_place(name), root))
    kinds = int(held["node_label"].max()) + 1
    labels = torch.from_numpy(held["node_label"].astype(np.int64))
    graphs = _graphs(held, lambda a, b: F.one_hot(labels[a:b], kinds).float(), held["y"].astype(np.int64), None)
    place = held["fold"]
    parts = (~np.isin(place, (fold, (fold + 1) % FOLDS)), place == (fold + 1) % FOLDS, place == fold)
    return Graphs(*([graphs[i] for i in np.flatnonzero(part)] for part in parts))


def _graphs(held: Arrays, node: Callable[[int, int], Tensor], y: np.ndarray, bond: np.ndarray | None) -> list[Data]:
    """Read all graphs of a file, with both directions of each edge."""
    found = []
    for number in range(len(y)):
        (a, b), (c, d) = held["node_ptr"][number : number + 2], held["edge_ptr"][number : number + 2]
        one = torch.from_numpy(np.stack([held["edge_a"][c:d], held["edge_b"][c:d]]).astype(np.int64))
        graph = Data(x=node(a, b), edge_index=torch.cat([one, one.flip(0)], dim=1), y=torch.tensor([y[number].item()]))
        if bond is not None:
            graph.edge_attr = _one_hot(bond[c:d].astype(np.int64), list(BOND.values())).repeat(2, 1)
        found.append(graph)
    return found


def _one_hot(columns: np.ndarray, sizes: list[int]) -> Tensor:
    """Convert columns of small numbers to one-hot columns, side by side, float32."""
    parts = (torch.from_numpy(columns[:, place]) for place in range(len(sizes)))
    return torch.cat([F.one_hot(part, size) for part, size in zip(parts, sizes, strict=True)], dim=1).float()


def _place(name: str) -> tuple[str, None, str]:
    file, sha256 = FILES[name]
    return file, None, sha256
