"""The three granularities of MuGSI: graphs, clusters of nodes and random walks; on PyG's batches of graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkd.kernels import grouped_gram_distance
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, check_same_shape


def graph_vectors(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over entries of (nz(s_g) - nz(t_g))^2, nz a row over its length: (B, d) twice -> scalar."""
    check_same_shape(student, teacher)
    return (unit_vectors(student) - unit_vectors(teacher)).square().sum() / max(student.numel(), 1)


def pooled(rows: Tensor, index: Tensor, count: int, gate: nn.Module | None = None) -> Tensor:
    """Sum rows by index, weighed by a softmax of gate(rows), (n, 1), per index if given: (n, d) -> (count, d)."""
    if gate is not None:
        score = gate(rows).squeeze(1)
        top = score.new_full((count,), -torch.inf).scatter_reduce(0, index, score.detach(), "amax")
        weight = (score - top[index]).exp()
        total = weight.new_zeros(count).index_add(0, index, weight)
        rows = rows * (weight / total[index])[:, None]
    return rows.new_zeros(count, rows.size(1)).index_add(0, index, rows)


def stacked_clusters(cluster: Tensor, batch: Tensor, graphs: int) -> tuple[Tensor, Tensor]:
    """Number the clusters of several graphs consecutively: (n,) from 0 in each graph, (n,) -> (n,), (R,) their graphs.

    The clusters of a graph must be numbered without gaps.
    """
    counts = cluster.new_zeros(graphs).scatter_reduce(0, batch, cluster + 1, "amax")
    first = counts.cumsum(0) - counts
    graph = torch.arange(graphs, device=cluster.device).repeat_interleave(counts)
    return cluster + first[batch], graph


def cluster_cosines(student: Tensor, teacher: Tensor, graph: Tensor, graphs: int) -> Tensor:
    """(1/B) sum over graphs of more than 2 clusters of 1/2 |cos(S_g) - cos(T_g)|_F^2: (R, d_s), (R, d_t) -> scalar.

    graph: (R,) the graph of each cluster; graphs: B, all of them. cos: the cosines of a graph's clusters, 0 for a row
    of zeros. From the Gram matrices of each graph's rows, O(R d^2), never R x R.
    """
    check_rows(student, teacher)
    counted = torch.bincount(graph, minlength=graphs)[graph] > 2
    s, t = (unit_vectors(side[counted]) for side in (student, teacher))
    return (grouped_gram_distance(s, t, graph[counted]) / (2 * max(graphs, 1))).to(s.dtype)


def walk_affinity(
    student: Tensor, teacher: Tensor, walks: Tensor, graph: Tensor, graphs: int, *, per_graph: int, exact: bool = True
) -> Tensor:
    """(1/B) sum over graphs, and the mean over its ``per_graph`` walks, of KL(softmax(t_0 t_p) || softmax(s_0 s_p)).

    student, teacher: (n, d_s), (n, d_t) rows of nodes; walks: (W, P + 1) indices of rows: the softmax runs over the
    products of the first node with the P others; graph: (W,) the graph of each walk; graphs: B, including those without
    walks. O(W P d). exact=False leaves out graphs in which a softmax of the student underflows to 0, as the authors'
    code does; the log-softmax is finite there.
    """
    check_rows(student, teacher)
    log_p, log_q = (_affinities(side, walks) for side in (student, teacher))
    values = (log_q.exp() * (log_q - log_p)).sum(dim=1)
    if not exact:
        lost = torch.zeros(graphs, dtype=torch.bool, device=walks.device)
        lost[graph[(log_p.exp() == 0).any(dim=1)]] = True
        values = torch.where(lost[graph], 0, values)
    return values.sum() / max(graphs * per_graph, 1)


def _affinities(rows: Tensor, walks: Tensor) -> Tensor:
    wide = rows.to(accumulation_dtype(rows))
    products = torch.einsum("wd,wpd->wp", wide[walks[:, 0]], wide[walks[:, 1:]])
    return products.log_softmax(dim=1)
