"""Cora and CiteSeer with the splits of CPF, which GLNN and NOSMOG use too."""

from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from torch_geometric.data import Data

from datasets.mirror import fetch
from datasets.splits import per_class_split

__all__ = ["CHECKSUMS", "cpf", "read"]

URL = "https://raw.githubusercontent.com/BUPT-GAMMA/CPF/master/data/npz"

CHECKSUMS = {
    "cora": "068e22d90c3849b4057dfb05851741428992af058efcd4e7ebb4186f3d581de2",
    "citeseer": "280278b21b434c047922e8389518861416fb3ad39389c27865ff0e6bbb0aaab7",
}


def cpf(name: str, seed: int = 0, root: str | Path | None = None) -> Data:
    """Load the largest component of Cora or CiteSeer: 20 training and 30 validation nodes per class, rest test.

    From Yang, Liu and Shi, "Extract the Knowledge of Graph Neural Networks and Go Beyond it", 2021. CPF
    uses seed 0 alone, GLNN and NOSMOG use seeds 0 to 9.

    Args:
        name: "cora" or "citeseer".
        seed: of the split.
        root: cache folder, see `datasets.mirror.fetch`.

    Shapes:
        cora: 2,485 nodes, 1,433 features, 7 classes. citeseer: 2,110 nodes, 3,703 features, 6 classes.

    Raises:
        ValueError: the name is unknown.
        RuntimeError: the file could not be downloaded or does not have its checksum.
    """
    if name not in CHECKSUMS:
        raise ValueError(f"name must be one of {list(CHECKSUMS)}, got {name!r}")
    path = fetch(f"cpf/{name}.npz", f"{URL}/{name}.npz", CHECKSUMS[name], root)
    features, edge_index, labels = read(path)
    return Data(
        x=torch.from_numpy(features),
        edge_index=torch.from_numpy(edge_index),
        y=torch.from_numpy(labels),
        **per_class_split(labels, train=20, val=30, seed=seed).masks(),
    )


def read(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the largest connected component of a file in CPF's format; nodes keep their order.

    Edge weights and self loops are dropped and edges made undirected; features stay as stored.

    Returns:
        Features (N, F) float32, edge_index (2, E) int64 and labels (N,) int64 in 0..C-1.
    """
    with np.load(path, allow_pickle=False) as arrays:
        adjacency, features = (
            csr_matrix(
                tuple(arrays[f"{kind}_{part}"] for part in ("data", "indices", "indptr")),
                shape=tuple(arrays[f"{kind}_shape"]),
            )
            for kind in ("adj", "attr")
        )
        labels = arrays["labels"]
    adjacency.data[:] = 1  # a stored zero is an edge too
    _, component = connected_components(adjacency, directed=False)
    nodes = np.flatnonzero(component == np.bincount(component).argmax())
    adjacency = adjacency[nodes][:, nodes]
    sources, targets = (adjacency + adjacency.T).nonzero()
    edge_index = np.stack([sources, targets])[:, sources != targets].astype(np.int64)
    _, classes = np.unique(labels[nodes], return_inverse=True)
    return features[nodes].toarray().astype(np.float32), edge_index, classes.astype(np.int64)
