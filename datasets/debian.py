"""Debian's packages: 41 sections, 135 tags, dependencies, words of the one-line descriptions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from datasets.mirror import fetch
from datasets.packed import Arrays, arrays, project, sparse_rows, strings, tfidf, undirected
from datasets.shares import Shares, group_shares, random_shares, without_single_groups

__all__ = ["debian", "debian_tags", "debian_types"]

FILE, SHA256 = "more/debian.npz", "0de3895da6067ff0fe0c4dab143708e157e8e5f8c845cb79c8073fcd82aa18fe"
KINDS = (0, 1, 2)  # Depends, Pre-Depends, Recommends; Suggests joins less similar packages


def debian(seed: int = 0, root: str | Path | None = None, *, by_source: bool = True, words: bool = False) -> Data:
    """Load the packages of Debian 12 joined by their dependencies; the class is the section, from admin to x11.

    Features are the words of the description: TF-IDF on 128 singular vectors, or all words. Names, which give the
    section away, and tags are left out. Packages of one source are near-copies, so the split by source keeps each
    source in one part; the section `tasks`, which comes from a single source, then counts as unlabelled.

    Args:
        seed: of the split: a tenth to train, a tenth to validate, a fifth of the rest new.
        root: cache folder, see `datasets.mirror.fetch`.
        by_source: split by source, else by package.
        words: all 3,679 words, as a sparse tensor, instead of 128 columns.

    Shapes:
        63,436 nodes, 549,900 directed edges, 128 features, 41 classes, -1 for 1,737 nodes of small sections.
    """
    held = arrays(_file(root))
    y, split = _sections(held, seed, by_source)
    return Data(
        x=sparse_rows(tfidf(held)) if words else torch.from_numpy(project(held)),
        edge_index=_edges(held),
        y=torch.from_numpy(y),
        **split.masks(),
    )


def debian_tags(seed: int = 0, root: str | Path | None = None) -> Data:
    """Load the same graph with a package's tags as labels: y (63,436, 135), NaN for packages without tags.

    Split by source; 30,221 packages have tags.
    """
    held = arrays(_file(root))
    ptr, tags = held["tag_indptr"].astype(np.int64), held["tag_indices"].astype(np.int64)
    y = np.zeros((len(ptr) - 1, len(strings(held, "tag"))), np.float32)
    y[np.repeat(np.arange(len(y)), np.diff(ptr)), tags] = 1
    known = np.diff(ptr) > 0
    y[~known] = np.nan
    return Data(
        x=torch.from_numpy(project(held)),
        edge_index=_edges(held),
        y=torch.from_numpy(y),
        **group_shares(known, held["source"], seed).masks(),
    )


def debian_types(seed: int = 0, root: str | Path | None = None) -> HeteroData:
    """Load packages, sources and maintainers; each kind of dependency is an edge type, and so is its reverse.

    Packages have features, sections and masks, split by source; sources and maintainers have the mean features of their
    packages.
    """
    held = arrays(_file(root))
    y, split = _sections(held, seed, by_source=True)
    data, x = HeteroData(), torch.from_numpy(project(held))
    data["package"].x, data["package"].y = x, torch.from_numpy(y)
    for name, mask in split.masks().items():
        data["package"][name] = mask
    for number in KINDS:
        own = held["kind"] == number
        ends = torch.from_numpy(np.stack([held["src"][own], held["dst"][own]]).astype(np.int64))
        kind = strings(held, "kind")[number].lower().replace("-", "_")
        data["package", kind, "package"].edge_index = ends
        data["package", f"{kind}_of", "package"].edge_index = ends.flip(0)
    for owner in ("source", "maintainer"):
        of = torch.from_numpy(held[owner].astype(np.int64))
        data[owner].x = _means(x, of)
        data["package", "from", owner].edge_index = torch.stack([torch.arange(len(of)), of])
        data[owner, "has", "package"].edge_index = torch.stack([of, torch.arange(len(of))])
    return data


def _sections(held: Arrays, seed: int, by_source: bool) -> tuple[np.ndarray, Shares]:
    y = held["y"].astype(np.int64)
    if not by_source:
        return y, random_shares(y >= 0, seed)
    y = without_single_groups(y, held["source"])
    return y, group_shares(y >= 0, held["source"], seed)


def _edges(held: Arrays) -> Tensor:
    own = np.isin(held["kind"], KINDS)
    return torch.from_numpy(undirected(held["src"][own], held["dst"][own], len(held["y"])))


def _means(x: Tensor, group: Tensor) -> Tensor:
    """Compute the mean row of every group, (groups, F)."""
    sums = x.new_zeros(int(group.max()) + 1, x.size(1)).index_add_(0, group, x)
    return sums / group.bincount().clamp(min=1)[:, None]


def _file(root: str | Path | None) -> Path:
    return fetch(FILE, None, SHA256, root)
