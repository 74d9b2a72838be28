"""The kernels over edges, and every way to compute them: ours, the plain form, PyG's, torch-scatter's."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.utils import scatter, softmax

from benchmarks.cases.common import (
    SCATTER,
    Builder,
    Case,
    Ops,
    Provider,
    Size,
    features,
    gathered,
    gb,
    library,
    random_edges,
    random_layout,
    sides,
)
from graphkd.kernels import EdgeLayout, edge_dot, edge_kl, edge_layout, edge_similarity, edge_spmm, segment_log_softmax
from graphkd.kernels.edges import distances, products
from graphkd.kernels.edges.segments import edge_kl_reference, segment_log_softmax_reference
from graphkd.kernels.edges.similarity import EdgeKernel
from graphkd.losses.graphs.lsp import LocalStructure, local_structure, lsp

if SCATTER:
    import torch_scatter

_ROUNDS = 5  # numbers of an edge that log-softmax or divergence read and write, forward and backward
_NODE_BY_NODE = 2 * 10**9  # N E steps: each node's gradient is a vector of all edges
_PLAIN_SIMILARITY: dict[str, Callable[[Tensor, EdgeLayout], Tensor]] = {
    "cosine": lambda x, layout: F.cosine_similarity(x[layout.target], x[layout.source]),
    "dot": lambda x, layout: products.edge_dot_reference(x, x, layout),
    "squared_euclidean": distances.edge_squared_distance_reference,
    "rbf": lambda x, layout: (-distances.edge_squared_distance_reference(x, layout) / 2).exp(),
    "l1": distances.edge_l1_distance_reference,
}


def similarity(kernel: EdgeKernel) -> Builder:
    """``edge_similarity`` from the raw ``edge_index``, our sort of it included."""

    def build(size: Size, device: torch.device) -> Case:
        x, edge_index = features(size.nodes, size.student, device).requires_grad_(), random_edges(size, device)
        layout, plain = edge_layout(edge_index, size.nodes), _PLAIN_SIMILARITY[kernel]
        reference = Provider(lambda: layout.restore(plain(x, layout)), gb(6 * size.edges * size.student))
        own = library(lambda: edge_similarity(x, edge_index, kernel), device)
        return Case([x], {"reference": reference} | own, 3 * gathered(size.edges, size.student))

    return build


def dot(size: Size, device: torch.device) -> Case:
    """``edge_dot`` of two feature matrices."""
    layout = random_layout(size, device)
    x, y = (features(size.nodes, size.student, device).requires_grad_() for _ in range(2))
    reference = Provider(lambda: products.edge_dot_reference(x, y, layout), gb(5 * size.edges * size.student))
    own = library(lambda: edge_dot(x, y, layout), device)
    return Case([x, y], {"reference": reference} | own, 3 * gathered(size.edges, size.student))


def product(size: Size, device: torch.device) -> Case:
    """``edge_spmm``; scattered messages, as PyG's ``spmm`` makes N x N for the gradient of the values."""
    layout = random_layout(size, device)
    source, target, ptr = (part.long() for part in (layout.source, layout.target, layout.ptr))
    values = torch.rand(size.edges, device=device).requires_grad_()
    y = features(size.nodes, size.student, device).requires_grad_()

    def pyg() -> Tensor:
        return scatter(values[:, None] * y[source], target, dim_size=size.nodes, reduce="sum")

    def torch_scatter_() -> Tensor:
        return torch_scatter.segment_sum_csr(values[:, None] * y[source], ptr)

    messages = gb(5 * size.edges * size.student)
    providers = {
        "reference": Provider(lambda: products.edge_spmm_reference(values, y, layout), messages),
        "pyg": Provider(pyg, messages),
    }
    if SCATTER:
        providers["torch_scatter"] = Provider(torch_scatter_, messages)
    own = library(lambda: edge_spmm(values, y, layout), device)
    return Case([values, y], providers | own, 3 * gathered(size.edges, size.student))


def _too_slow(size: Size) -> str:
    slow = size.nodes * size.edges > _NODE_BY_NODE
    return "takes a node at a time in Python, its gradient N E steps" if slow else ""


def _log_softmaxes(size: Size, target: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """Log-softmax over the edges that enter each node, by others."""
    others = {"pyg": lambda scores: softmax(scores, target, num_nodes=size.nodes).log()}
    if SCATTER:
        others["torch_scatter"] = lambda scores: torch_scatter.scatter_log_softmax(
            scores, target, dim=0, dim_size=size.nodes
        )
    return others


def log_softmax(size: Size, device: torch.device) -> Case:
    """``segment_log_softmax``; PyG's ``softmax`` and the logarithm, torch-scatter's ``scatter_log_softmax``."""
    layout, scores = random_layout(size, device), torch.randn(size.edges, device=device).requires_grad_()
    others = _log_softmaxes(size, layout.target.long())
    reference = Provider(lambda: segment_log_softmax_reference(scores, layout), unfit=_too_slow(size))
    providers = {name: Provider(lambda other=other: other(scores)) for name, other in others.items()}
    own = library(lambda: segment_log_softmax(scores, layout), device)
    return Case([scores], {"reference": reference, **providers} | own, _ROUNDS * scores.nbytes)


def kl(size: Size, device: torch.device) -> Case:
    """``edge_kl`` of scores against log-probabilities; others' log-softmax, ``kl_div`` and PyG's ``scatter``."""
    layout, scores = random_layout(size, device), torch.randn(size.edges, device=device).requires_grad_()
    target = layout.target.long()
    teacher = segment_log_softmax(torch.randn(size.edges, device=device), layout)

    def plain(log_softmax: Callable[[Tensor], Tensor]) -> Provider:
        def forward() -> Tensor:
            terms = F.kl_div(log_softmax(scores), teacher, reduction="none", log_target=True)
            return scatter(terms, target, dim_size=size.nodes, reduce="sum")

        return Provider(forward)

    reference = Provider(lambda: edge_kl_reference(scores, teacher, layout), unfit=_too_slow(size))
    providers = {name: plain(other) for name, other in _log_softmaxes(size, target).items()}
    own = library(lambda: edge_kl(scores, teacher, layout), device)
    return Case([scores], {"reference": reference, **providers} | own, _ROUNDS * scores.nbytes)


def _plain_structure(x: Tensor, edge_index: Tensor) -> Tensor:
    source, target = edge_index
    return softmax(F.cosine_similarity(x[source], x[target]), target, num_nodes=x.size(0))


def local(*, cached: bool, undirected: bool = False) -> Builder:
    """LSP with the cosine, KL(teacher || student) over edges, from raw features; ``cached``: teacher done before.

    The plain form is PyG's: gathered ends and its ``softmax``.
    """

    def build(size: Size, device: torch.device) -> Case:
        (student, teacher), edge_index = sides(size, device), random_edges(size, device)
        if undirected:
            half = edge_index[:, : size.edges // 2]
            edge_index = torch.cat([half, half.flip(0)], dim=1)

        def plain(probabilities: Tensor | None = None) -> Tensor:
            p = _plain_structure(teacher, edge_index) if probabilities is None else probabilities
            return F.kl_div(_plain_structure(student, edge_index).log(), p, reduction="sum") / size.edges

        def own(known: Tensor | LocalStructure) -> Tensor:
            return lsp(student, known, edge_index, "cosine", divergence="teacher_student", reduction="edges")

        needed = [gb(6 * size.edges * size.student), gb(4 * size.edges * size.teacher)]
        providers = {"reference": Provider(plain, max(needed))}
        moved = 3 * gathered(size.edges, size.student)
        if not cached:
            moved += gathered(size.edges, size.teacher)
            return Case([student], providers | library(lambda: own(teacher), device), moved)
        known = local_structure(teacher, edge_index, "cosine")
        p = known.probabilities()
        providers["reference_cached"] = Provider(lambda: plain(p), needed[0])
        return Case([student], providers | library(lambda: own(known), device), moved)

    return build


_SIMILAR = (
    [Size(1_000, 10_000, 64, 0), Size(100_000, 1_000_000, 64, 0)],
    [Size(10_000, 100_000, 64, 0), Size(1_000_000, 1_000_000, 64, 0)],
)
_SCORES = (
    [Size(1_000, 10_000, 0, 0), Size(100_000, 1_000_000, 0, 0)],
    [Size(10_000, 100_000, 0, 0), Size(1_000_000, 1_000_000, 0, 0)],
)
_LOCAL = ([Size(100_000, 1_000_000)], [Size(1_000_000, 1_000_000)])

OPS: Ops = {
    "edge_similarity_cosine": (similarity("cosine"), *_SIMILAR),
    "edge_similarity_dot": (similarity("dot"), *_SIMILAR),
    "edge_similarity_squared_euclidean": (similarity("squared_euclidean"), *_SIMILAR),
    "edge_similarity_rbf": (similarity("rbf"), *_SIMILAR),
    "edge_similarity_l1": (similarity("l1"), *_SIMILAR),
    "edge_dot": (dot, *_SIMILAR),
    "edge_spmm": (product, *_SIMILAR),
    "segment_log_softmax": (log_softmax, *_SCORES),
    "edge_kl": (kl, *_SCORES),
    "lsp": (local(cached=False), *_LOCAL),
    "lsp_cached": (local(cached=True), *_LOCAL),
    "lsp_cached_undirected": (local(cached=True, undirected=True), *_LOCAL),
}
