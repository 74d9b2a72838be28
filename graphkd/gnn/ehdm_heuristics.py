"""Heuristics of links as teachers: how many neighbours two nodes share, weighed or not, and how far apart they are."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import scipy.sparse
import torch
from scipy.sparse import csgraph
from torch import Tensor, nn

from graphkd.losses._checks import choose

Kind = Literal["aa", "ra", "cn", "path"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CAP, BEYOND = 6, 999.0
PAIRS, SOURCES = 1 << 14, 1 << 6  # at a time: pairs with their neighbours, sources with distances to all nodes


def link_heuristics(
    edge_index: Tensor, pairs: Tensor, num_nodes: int, kinds: tuple[Kind, ...] = KINDS, *, cap: int = CAP
) -> Tensor:
    """Score pairs of nodes by the edges alone: (2, E), (2, M) -> (M, len(kinds)) float64.

    Duplicate edges count once, and edges in both directions. "cn": |N(i) & N(j)|; "aa" (Adamic-Adar): the sum over
    common neighbours k of 1 / log d_k, 0 for d_k = 1; "ra" (resource allocation): the sum of 1 / d_k; "path":
    1 / length of the shortest path, 1 / 999 if it is longer than ``cap`` or there is none, 999 for a node and itself,
    as in the authors' code of EHDM. A pair's own edge is not removed from ``edge_index``. Common neighbours cost
    O(d_i + d_j) a pair; "path" a search from each different first node, with O(N) memory for each of 64 at a time.
    """
    adjacency = _adjacency(edge_index, num_nodes)
    ends = pairs.cpu().numpy()
    columns = {
        kind: _paths(adjacency, ends, cap) if kind == "path" else _shared(adjacency, ends, kind) for kind in kinds
    }
    return torch.from_numpy(np.stack([columns[kind] for kind in kinds], axis=1)).to(pairs.device)


def scaled(values: Tensor, known: Tensor) -> Tensor:
    """Scale columns to (value - min) / (max - min + 1e-8), min and max over ``known``: (M, k), (K, k) -> (M, k)."""
    low, high = known.amin(dim=0), known.amax(dim=0)
    return (values - low) / (high - low + 1e-8)


def _adjacency(edge_index: Tensor, num_nodes: int) -> Any:
    source, target = edge_index.cpu().numpy()
    made = scipy.sparse.coo_matrix((np.ones(len(source)), (source, target)), shape=(num_nodes, num_nodes)).tocsr()
    both = made + made.T
    both.data[:] = 1.0
    return both


def _shared(adjacency: Any, ends: np.ndarray, kind: str) -> np.ndarray:
    """Sum over common neighbours."""
    degree = np.asarray(adjacency.sum(axis=0)).ravel()
    with np.errstate(divide="ignore"):
        weight = {"cn": np.ones_like(degree), "ra": 1 / degree, "aa": 1 / np.log(degree)}[kind]
    weight[~np.isfinite(weight)] = 0.0
    weighed = adjacency @ scipy.sparse.diags(weight)
    blocks = [ends[:, first : first + PAIRS] for first in range(0, ends.shape[1], PAIRS)]
    sums = [np.asarray(adjacency[i].multiply(weighed[j]).sum(axis=1)).ravel() for i, j in blocks]
    return np.concatenate(sums) if sums else np.zeros(0)


def _paths(adjacency: Any, ends: np.ndarray, cap: int) -> np.ndarray:
    """Reciprocals of capped lengths."""
    sources, place = np.unique(ends[0], return_inverse=True)
    length = np.full(ends.shape[1], np.inf)
    order = place.argsort(kind="stable")
    for first in range(0, len(sources), SOURCES):
        chosen = order[np.searchsorted(place[order], first) : np.searchsorted(place[order], first + SOURCES)]
        block = sources[first : first + SOURCES]
        reach = csgraph.dijkstra(adjacency, unweighted=True, indices=block, limit=cap)
        length[chosen] = reach[place[chosen] - first, ends[1, chosen]]
    found = np.where(length <= cap, 1 / np.maximum(length, 1), 1 / BEYOND)
    return np.where(ends[0] == ends[1], BEYOND, found)


class Heuristic(nn.Module):
    """Teach links without parameters, for ``llp``: show ``link_heuristics`` as ``scores``.

    kind: "cn", "aa", "ra" or "path". ``llp`` uses the values unscaled, counts too, as the authors do. ``logits`` are
    the same values: they rank pairs, but their sigmoids are not probabilities of a link.

    Example::

        >>> edges, pairs = torch.tensor([[0, 1, 2], [1, 2, 3]]), torch.tensor([[0, 0], [2, 3]])
        >>> Heuristic("cn")(torch.zeros(4, 1), edges, pairs)["scores"]  # 0 and 2 share node 1, 0 and 3 none
        tensor([1., 0.])
    """

    def __init__(self, kind: Kind = "cn") -> None:
        super().__init__()
        self.kind = choose("kind", kind, KINDS)

    def forward(self, x: Tensor, edge_index: Tensor, edge_label_index: Tensor) -> dict[str, Tensor]:
        """(N, F), (2, E), (2, M) -> ``scores`` and ``logits`` (M,)."""
        scores = link_heuristics(edge_index, edge_label_index, x.size(0), (self.kind,))[:, 0].to(x.dtype)
        return {"scores": scores, "logits": scores}
