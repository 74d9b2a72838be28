"""Similarity of the two ends of every edge, from products and distances without E x d memory."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from graphkd.kernels.edges.distances import edge_l1_distance, edge_squared_distance
from graphkd.kernels.edges.layout import EdgeLayout, edge_layout
from graphkd.kernels.edges.products import edge_dot
from graphkd.kernels.edges.undirected import paired_dot, paired_squared_distance, undirected
from graphkd.kernels.norms import inverse_norms, unit_vectors
from graphkd.kernels.operators import accumulation_dtype

EdgeKernel = Literal["cosine", "dot", "poly", "squared_euclidean", "euclidean", "rbf", "l1", "laplacian"]
# What each kernel is a function of: inner products, squared or L1 distances.
PAIR_VALUES = {
    **dict.fromkeys(("cosine", "dot", "poly"), "dot"),
    **dict.fromkeys(("squared_euclidean", "euclidean", "rbf"), "squared"),
    **dict.fromkeys(("l1", "laplacian"), "l1"),
}


def edge_similarity(
    x: Tensor,
    edge_index: Tensor,
    kernel: EdgeKernel = "cosine",
    *,
    sigma: float = 1.0,
    degree: int = 2,
    offset: float = 0.0,
    normalise: bool = False,
) -> Tensor:
    """Similarity of the two ends of every edge, (N, d) and (2, E) -> (E,), in the order of ``edge_index``.

    ``cosine``; ``dot`` x.y; ``poly`` (x.y + offset)^degree; ``squared_euclidean`` |x - y|^2; ``euclidean`` |x - y|
    (gradient 0 at 0); ``rbf`` exp(-|x - y|^2 / (2 sigma)); ``l1`` |x - y|_1; ``laplacian`` exp(-|x - y|_1 / sigma).
    The plain distances are not negated: they grow as nodes differ, as in the codes that match them. Half-precision
    inputs give float32. ``normalise`` divides rows by their L2 norm first (``cosine`` is ``dot`` with it). A zero row
    stays zero and has cosine 0 with gradient 0, as in ``norms``; a norm clamped at 1e-8 would give gradients of 1e8.
    O(E d) time, O(E + N) memory beside ``x`` (L1: one bounded chunk of edges more).
    Raises ValueError for an unknown kernel, and what ``edge_layout`` raises for ``edge_index``.
    """
    layout = edge_layout(edge_index, x.size(0))
    return layout.restore(
        similarity_in_layout(x, layout, kernel, sigma=sigma, degree=degree, offset=offset, normalise=normalise)
    )


def similarity_in_layout(
    x: Tensor,
    layout: EdgeLayout,
    kernel: EdgeKernel,
    *,
    sigma: float = 1.0,
    degree: int = 2,
    offset: float = 0.0,
    normalise: bool = False,
) -> Tensor:
    """``edge_similarity`` in the target order of a layout, for callers that reduce by target."""
    check_kernel(kernel)
    if x.requires_grad:  # several gradients are summed in x, and in half precision may overflow or cancel
        x = x.to(accumulation_dtype(x))
    if PAIR_VALUES[kernel] == "dot":
        values = _dots(x, layout)
        if normalise or kernel == "cosine":
            values = values * _inverse_norm_products(x, layout)
    else:
        x = unit_vectors(x) if normalise else x
        values = (edge_l1_distance if PAIR_VALUES[kernel] == "l1" else _squared_distances)(x, layout)
    return apply_kernel(values, kernel, sigma, degree, offset)


def check_kernel(kernel: str) -> None:
    """Raise ValueError for an unknown kernel."""
    if kernel not in PAIR_VALUES:
        raise ValueError(f"'kernel' must be one of {get_args(EdgeKernel)}, got {kernel!r}")


def apply_kernel(values: Tensor, kernel: str, sigma: float, degree: int, offset: float) -> Tensor:
    """Compute similarities from the products or distances (``PAIR_VALUES``) that the kernel is a function of."""
    if kernel == "poly":
        return (values + offset) ** degree
    if kernel == "euclidean":
        positive = values > 0
        return torch.where(positive, values, 1).sqrt() * positive
    scale = {"rbf": 2 * sigma, "laplacian": sigma}.get(kernel)
    return values if scale is None else (-values / scale).exp()


def _dots(x: Tensor, layout: EdgeLayout) -> Tensor:
    pairs = undirected(layout)
    return edge_dot(x, x, layout) if pairs is None else paired_dot(x, layout, pairs)


def _squared_distances(x: Tensor, layout: EdgeLayout) -> Tensor:
    pairs = undirected(layout)
    return edge_squared_distance(x, layout) if pairs is None else paired_squared_distance(x, layout, pairs)


def _inverse_norm_products(x: Tensor, layout: EdgeLayout) -> Tensor:
    # Scaling E products instead of N rows: the teacher's normalised copy is never made.
    inverse = inverse_norms(x)
    if inverse.is_cuda:  # the same numbers, with a gradient that needs no atomics
        return edge_dot(inverse[:, None], inverse[:, None], layout)
    return inverse.index_select(0, layout.target) * inverse.index_select(0, layout.source)
