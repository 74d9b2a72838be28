"""Similarity of the two ends of every edge, from products and distances that never hold E x d."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from graphkd.kernels.edges import edge_dot, edge_l1_distance, edge_squared_distance
from graphkd.kernels.layout import EdgeLayout, edge_layout
from graphkd.kernels.operators import accumulation_dtype

EdgeKernel = Literal["cosine", "dot", "poly", "squared_euclidean", "euclidean", "rbf", "l1", "laplacian"]


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
    The plain distances grow as nodes differ, as in the codes that use them for matching. Half precision gives float32.
    ``normalise`` divides rows by their L2 norm first (``cosine`` is ``dot`` with it). A zero row counts as norm 1e-8.
    O(E d) time, O(E + N) memory beside ``x`` (L1: one bounded chunk of edges more).
    Raises for an unknown kernel and for a wrong ``edge_index``.
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
    """``edge_similarity`` in the target order of a layout, for callers that go on by target."""
    if kernel not in get_args(EdgeKernel):
        raise ValueError(f"'kernel' must be one of {get_args(EdgeKernel)}, got {kernel!r}")
    if kernel in ("cosine", "dot", "poly"):
        dots = edge_dot(x, x, layout)
        if normalise or kernel == "cosine":
            dots = dots * _inverse_norm_products(x, layout)
        return (dots + offset) ** degree if kernel == "poly" else dots
    if normalise:
        x = torch.nn.functional.normalize(x.to(accumulation_dtype(x)), dim=1, eps=1e-8)
    if kernel in ("l1", "laplacian"):
        distance = edge_l1_distance(x, layout)
        return distance if kernel == "l1" else (-distance / sigma).exp()
    squared = edge_squared_distance(x, layout)
    if kernel == "rbf":
        return (-squared / (2 * sigma)).exp()
    return squared if kernel == "squared_euclidean" else _sqrt(squared)


def _inverse_norm_products(x: Tensor, layout: EdgeLayout) -> Tensor:
    # Scaling E products instead of N rows: the teacher's normalised copy is never made.
    inverse = torch.linalg.vector_norm(x, dim=1, dtype=accumulation_dtype(x)).clamp_min(1e-8).reciprocal()
    return inverse.index_select(0, layout.target) * inverse.index_select(0, layout.source)


def _sqrt(squared: Tensor) -> Tensor:
    positive = squared > 0
    return torch.where(positive, squared, 1).sqrt() * positive
