"""Splits of a graph's nodes."""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkd.core.csr import sparse_rows
from graphkd.core.masks import read_mask

MASKS = {"train": "train_mask", "val": "val_mask", "test": "test_mask"}  # of PyG's data sets


def hold_out(data: Data, *, share: float = 0.2, seed: int = 0, split: int | None = None) -> tuple[Data, Tensor]:
    """Split a graph for the inductive setting: the part that training sees, and a mask of the held-out test nodes.

    A random ``share`` of the test nodes, drawn with ``seed``, is removed with its edges. Returns the observed graph
    (masks and labels cut to its nodes) and a boolean mask (N,) of the held-out nodes of ``data``. ``test_mask`` may be
    boolean (N,), node ids, or (N, k) of which ``split`` is the column. Nodes of the observed graph are renumbered: a
    teacher ``Cached`` for the whole graph refuses it, so make one for this part. Raises ValueError where nothing is
    held out.

    Example::

        >>> observed, held = hold_out(data, share=0.5)  # of 12 test nodes
        >>> int(held.sum()), observed.num_nodes, int(observed.test_mask.sum())
        (6, 42, 6)
    """
    if not 0 < share < 1:
        raise ValueError(f"'share' must be in (0, 1), got {share}")
    rows = int(data.num_nodes or 0)
    masks = {name: read_mask(data[name], rows, name, split=split) for name in MASKS.values() if name in data}
    test = masks["test_mask"].nonzero().squeeze(1)
    order = torch.randperm(test.size(0), generator=torch.Generator().manual_seed(seed)).to(test.device)
    held = torch.zeros_like(masks["test_mask"])
    held[test[order[: int(test.size(0) * share)]]] = True
    if not bool(held.any()):
        raise ValueError(f"a 'share' of {share} of {test.size(0)} test nodes is none: give a larger one")
    whole = data.clone() if any(masks[name] is not data[name] for name in masks) else data
    for name, mask in masks.items():
        whole[name] = mask
    return part_of(whole, ~held), held


def part_of(data: Data, keep: Tensor) -> Data:
    """Return the graph of some nodes, chosen by a mask (N,), and the edges among them, as PyG's ``subgraph`` does.

    Rows of values in torch's sparse layouts, of which PyG takes none by a mask, are taken by number.
    """
    sparse = {name: value for name, value in data if _is_sparse(value) and data.is_node_attr(name)}
    if not sparse:
        return data.subgraph(keep)
    rest = copy.copy(data)
    rest.num_nodes = data.num_nodes
    for name in sparse:
        del rest[name]
    part = rest.subgraph(keep)
    if "num_nodes" not in data:
        del part.num_nodes
    for name, value in sparse.items():
        part[name] = sparse_rows(value, keep.nonzero()[:, 0])
    return part


def _is_sparse(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout != torch.strided
