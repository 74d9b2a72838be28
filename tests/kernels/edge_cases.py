"""Kernels over edges beside their references, and the similarities and divergences that are made of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import torch
from torch import Tensor

from graphkd import kernels
from graphkd.kernels.edges import distances, local_structure, products, segments
from graphkd.kernels.edges.similarity import edge_similarity
from graphkd.kernels.rankings import races
from tests.kernels.case import Case
from tests.kernels.graphs import Graph


def _on_layout(function: Callable[..., Tensor], /, **knobs: object) -> Callable[..., Tensor]:
    return lambda *tensors: function(*tensors[:-1], tensors[-1].layout, **knobs)


def _raced(race: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The keys of the winners, which have gradients where positions have none."""

    def kernel(log_weights: Tensor, log_clock: Tensor, graph: Graph) -> Tensor:
        drawn = race(log_weights, log_clock.exp(), (log_weights.size(1) + 1) // 2)
        return (log_weights - log_clock).gather(1, drawn)

    return kernel


def _similarity(reference: bool, **knobs: object) -> Callable[..., Tensor]:
    function = similarity_reference if reference else edge_similarity
    return lambda x, graph: function(x, graph.edge_index, **knobs)


def similarity_reference(
    x: Tensor,
    edge_index: Tensor,
    kernel: str,
    *,
    sigma: float = 1.0,
    degree: int = 2,
    offset: float = 0.0,
    normalise: bool = False,
) -> Tensor:
    """``edge_similarity`` with both end points gathered."""
    if normalise or kernel == "cosine":
        x = x / x.norm(dim=1, keepdim=True).masked_fill((x == 0).all(dim=1, keepdim=True), torch.inf)
    one, other = x[edge_index[1]], x[edge_index[0]]
    squared = (one - other).square().sum(dim=1)
    l1 = (one - other).abs().sum(dim=1)
    return {
        "cosine": lambda: (one * other).sum(dim=1),
        "dot": lambda: (one * other).sum(dim=1),
        "poly": lambda: ((one * other).sum(dim=1) + offset) ** degree,
        "squared_euclidean": lambda: squared,
        "euclidean": lambda: torch.where(squared > 0, squared, 1).sqrt() * (squared > 0),
        "rbf": lambda: (-squared / (2 * sigma)).exp(),
        "l1": lambda: l1,
        "laplacian": lambda: (-l1 / sigma).exp(),
    }[kernel]()


CASES: dict[str, Case] = {
    "edge_dot": Case(
        _on_layout(kernels.edge_dot), _on_layout(products.edge_dot_reference), ("node", "node"), twice=True
    ),
    **{
        f"edge_spmm{'_transposed' * transpose}": Case(
            _on_layout(kernels.edge_spmm, transpose=transpose),
            _on_layout(products.edge_spmm_reference, transpose=transpose),
            ("edge", "node"),
            twice=True,
            rows=True,
        )
        for transpose in (False, True)
    },
    "edge_squared_distance": Case(
        _on_layout(kernels.edge_squared_distance),
        _on_layout(distances.edge_squared_distance_reference),
        ("node",),
        twice=True,
    ),
    "edge_l1_distance": Case(
        _on_layout(kernels.edge_l1_distance),
        _on_layout(distances.edge_l1_distance_reference),
        ("node",),
    ),
    "segment_log_softmax": Case(
        _on_layout(kernels.segment_log_softmax),
        _on_layout(segments.segment_log_softmax_reference),
        ("edge",),
        twice=True,
    ),
    **{
        f"edge_kl{'_reverse' * reverse}": Case(
            _on_layout(kernels.edge_kl, reverse=reverse),
            _on_layout(segments.edge_kl_reference, reverse=reverse),
            ("edge", "log_prob"),
            twice=True,
        )
        for reverse in (False, True)
    },
    **{
        f"local_structure_{kernel}{'_normalised' * normalise}{'_reverse' * reverse}": Case(
            *(
                _on_layout(
                    function, kernel=kernel, sigma=1.5, degree=3, offset=0.5, normalise=normalise, reverse=reverse
                )
                for function in (kernels.local_structure_kl, local_structure.local_structure_kl_reference)
            ),
            ("node", "log_prob"),
        )
        for kernel, normalise, reverse in (
            ("cosine", False, False),
            ("dot", False, True),
            ("poly", True, False),
            ("squared_euclidean", True, True),
            ("euclidean", False, False),
            ("rbf", False, True),
            ("l1", False, False),
            ("laplacian", False, True),
        )
    },
    "race_top_k": Case(
        _raced(kernels.race_top_k), _raced(races.race_top_k_reference), ("node", "node"), twice=True, rows=True
    ),
    **{
        f"edge_similarity_{kernel}{'_normalised' * normalise}": Case(
            *(
                partial(_similarity, kernel=kernel, sigma=1.5, degree=3, offset=0.5, normalise=normalise)(reference)
                for reference in (False, True)
            ),
            ("node",),
            twice=kernel not in ("l1", "laplacian"),
        )
        for kernel, normalise in product(
            ("cosine", "dot", "poly", "squared_euclidean", "euclidean", "rbf", "l1", "laplacian"), (False, True)
        )
        if not (kernel == "cosine" and normalise)
    },
}
