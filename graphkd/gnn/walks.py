"""DeepWalk: vectors of nodes' positions in a graph, for students that do not read the graph.

Perozzi, Al-Rfou and Skiena, "DeepWalk: Online Learning of Social Representations", KDD 2014, arXiv:1403.6652.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.kernels import EdgeLayout, edge_layout, edge_spmm


def random_walks(edge_index: Tensor, num_nodes: int, *, length: int, per_node: int = 1, seed: int = 0) -> Tensor:
    """Walk along edges, uniformly among those that leave a node: (2, E) -> (per_node * N, length) node ids.

    Every node starts ``per_node`` walks, in random order. A walk stays at a node that no edge leaves. ``length`` counts
    nodes, the start included. Raises ValueError for ``length`` or ``per_node`` below 1.

    Example::

        >>> path = torch.tensor([[0, 1], [1, 2]])
        >>> sorted(random_walks(path, num_nodes=3, length=3).tolist())  # no edge leaves node 2
        [[0, 1, 2], [1, 2, 2], [2, 2, 2]]
    """
    for name, value in (("length", length), ("per_node", per_node)):
        if value < 1:
            raise ValueError(f"{name!r} must be at least 1, got {value}")
    generator = torch.Generator().manual_seed(seed)
    starts = torch.cat([torch.randperm(num_nodes, generator=generator) for _ in range(per_node)])
    return walks_from(starts, edge_layout(edge_index.cpu(), num_nodes), length, generator)


def walks_from(starts: Tensor, layout: EdgeLayout, length: int, generator: torch.Generator | None = None) -> Tensor:
    """Walk along edges from nodes, uniformly among those that leave a node: (W,) -> (W, length), the start first.

    A walk stays at a node that no edge leaves. Without ``generator``, torch's global generator is used.
    """
    walks = starts.new_empty(starts.size(0), length)
    walks[:, 0] = starts
    first, degree = layout.out_ptr[:-1].long(), layout.out_ptr.diff()
    # One more entry: pointers of edgeless nodes after the last edge lead there.
    target = torch.cat([layout.out_target, layout.out_target.new_zeros(1)]).long()
    for step in range(1, length):
        at = walks[:, step - 1]
        chance = torch.rand(at.shape, generator=generator, dtype=torch.float64, device=at.device)
        drawn = (chance * degree[at]).long()
        walks[:, step] = torch.where(degree[at] > 0, target[first[at] + drawn], at)
    return walks


def deepwalk(
    edge_index: Tensor,
    num_nodes: int,
    width: int = 64,
    *,
    length: int = 50,
    per_node: int = 5,
    window: int = 5,
    epochs: int = 1,
    seed: int = 0,
) -> Tensor:
    """Embed nodes by skip-gram on random walks: (2, E) -> (N, width) float32.

    Skip-gram with hierarchical softmax and, by gensim's default, five negative samples. length, per_node: of the walks,
    see ``random_walks``; window: of skip-gram; epochs: passes over the walks. Defaults are NOSMOG's for Cora; NOSMOG
    adds a loop to every node first (``add_self_loops``). One thread: the same seed gives the same vectors.

    Example::

        >>> tuple(deepwalk(data.edge_index, num_nodes=48, width=16, length=10, per_node=2).shape)
        (48, 16)
    """
    from gensim.models import Word2Vec  # slow to import

    walks = random_walks(edge_index, num_nodes, length=length, per_node=per_node, seed=seed)
    sentences = [list(map(str, walk)) for walk in walks.tolist()]
    model = Word2Vec(
        sentences, vector_size=width, window=window, min_count=0, sg=1, hs=1, workers=1, epochs=epochs, seed=seed
    )
    return torch.from_numpy(model.wv[[str(node) for node in range(num_nodes)]]).to(edge_index.device)


def extend_positions(position: Tensor, seen: Tensor, edge_index: Tensor) -> Tensor:
    """Extend positions from the seen nodes to the whole graph: an unseen node takes the mean of seen in-neighbours.

    position: (n, d), of the seen nodes in order; seen: mask (N,) of these n nodes; edge_index: (2, E) of the whole
    graph. Returns (N, d), 0 for an unseen node without seen in-neighbours. Raises ValueError unless ``position`` has n
    rows.

    Example::

        >>> position, seen = torch.tensor([[0.0], [4.0]]), torch.tensor([True, True, False, False])
        >>> extend_positions(position, seen, torch.tensor([[0, 1], [2, 2]]))[:, 0]  # node 3 has no neighbour
        tensor([0., 4., 2., 0.])
    """
    count = int(seen.sum())
    if position.size(0) != count:
        raise ValueError(f"'position' must have a row for each of the {count} nodes seen, got {position.size(0)}")
    whole = position.new_zeros(seen.size(0), position.size(1))
    whole[seen] = position
    source, target = edge_index
    layout = edge_layout(edge_index[:, seen[source] & ~seen[target]], seen.size(0))
    mean = layout.ptr.diff().clamp_min(1).to(position.dtype).reciprocal().index_select(0, layout.target)
    return whole + edge_spmm(mean, whole, layout)
