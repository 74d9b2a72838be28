"""Every kernel beside its reference: one entry here puts a kernel under all tests of ``test_kernels.py``.

The operators that an entry runs, forward and backward, are recorded and put through ``torch.library.opcheck``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from torch import Tensor

from graphkd import kernels
from graphkd.kernels import contrast, edges, pairs, rankings, segments
from graphkd.kernels.gram_matrix import gram_reference
from graphkd.kernels.similarity import edge_similarity
from tests.kernels.graphs import Graph


@dataclass(frozen=True)
class Case:
    """A kernel as a function of tensors and a graph.

    inputs: the kinds of its tensors: ``node`` (N, d), ``wider`` (N, d + 2), ``edge`` (E,), ``row`` (N,), ``log_prob``
    (E,) log-probabilities of a node's in-edges. twice: second derivatives exist; where not, asking for them must raise.
    """

    kernel: Callable[..., Tensor]
    reference: Callable[..., Tensor]
    inputs: tuple[str, ...]
    twice: bool = False
    wide_result: bool = False  # float64 whatever the inputs
    rows: bool = False  # a result of rows, in the dtype of its inputs; all others are float32 at least

    def draw(self, graph: Graph, dtype: torch.dtype, width: int = 3, *, strided: bool = False) -> tuple[Tensor, ...]:
        """Random inputs on a graph."""
        return tuple(_draw(kind, graph, dtype, width, salt, strided) for salt, kind in enumerate(self.inputs))


def _draw(kind: str, graph: Graph, dtype: torch.dtype, width: int, salt: int, strided: bool) -> Tensor:
    options = {"dtype": dtype, "salt": salt, "strided": strided}
    if kind in ("node", "wider"):
        return graph.nodes(width + 2 * (kind == "wider"), **options)
    if kind == "row":
        return graph.nodes(1, **options)[:, 0]
    values = graph.values(**options)
    if kind == "log_prob":
        return segments.segment_log_softmax_reference(values.double(), graph.layout).to(dtype)
    return values


def _on_layout(function: Callable[..., Tensor], /, **knobs: object) -> Callable[..., Tensor]:
    return lambda *tensors: function(*tensors[:-1], tensors[-1].layout, **knobs)


def _dense(function: Callable[..., Tensor], /, **knobs: object) -> Callable[..., Tensor]:
    return lambda *tensors: function(*tensors[:-1], **knobs)


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
        x = x / x.norm(dim=1, keepdim=True).clamp_min(1e-8)
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


def _flat(matrices: Iterable[Tensor]) -> Tensor:
    return torch.cat([matrix.flatten() for matrix in matrices])


def _grams_reference(a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor) -> tuple[Tensor, ...]:
    one, other = a.double() * a_scale.double()[:, None], b.double() * b_scale.double()[:, None]
    return gram_reference(one, one), gram_reference(other, other), gram_reference(one, other)


CASES: dict[str, Case] = {
    "edge_dot": Case(_on_layout(kernels.edge_dot), _on_layout(edges.edge_dot_reference), ("node", "node"), twice=True),
    **{
        f"edge_spmm{'_transposed' * transpose}": Case(
            _on_layout(kernels.edge_spmm, transpose=transpose),
            _on_layout(edges.edge_spmm_reference, transpose=transpose),
            ("edge", "node"),
            twice=True,
            rows=True,
        )
        for transpose in (False, True)
    },
    "edge_squared_distance": Case(
        _on_layout(kernels.edge_squared_distance),
        _on_layout(edges.edge_squared_distance_reference),
        ("node",),
        twice=True,
    ),
    "edge_l1_distance": Case(
        _on_layout(kernels.edge_l1_distance),
        _on_layout(edges.edge_l1_distance_reference),
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
        f"ranking_log_likelihood{'_floor' * bool(floor)}": Case(
            _dense(rankings.ranking_log_likelihood, floor=floor),
            _dense(rankings.ranking_log_likelihood_reference, floor=floor),
            ("node", "row"),
        )
        for floor in (0.0, 2.0)
    },
    "gram": Case(
        _dense(kernels.gram),
        _dense(gram_reference),
        ("node", "wider", "row"),
        twice=True,
        wide_result=True,
    ),
    "gram_without_weight": Case(
        _dense(kernels.gram), _dense(gram_reference), ("node", "wider"), twice=True, wide_result=True
    ),
    "grams": Case(
        _dense(lambda *inputs: _flat(kernels.grams(*inputs))),
        _dense(lambda *inputs: _flat(_grams_reference(*inputs))),
        ("node", "wider", "row", "row"),
        wide_result=True,
    ),
    "product_logsumexp": Case(
        _dense(kernels.product_logsumexp, scale=2.0),
        _dense(contrast.product_logsumexp_reference, scale=2.0),
        ("node", "node"),
    ),
    **{
        f"pair_divergence_{kernel}": Case(
            _dense(kernels.pair_divergence, kernel=kernel, sigma=1.5, degree=3, offset=0.5),
            _dense(pairs.pair_divergence_reference, kernel=kernel, sigma=1.5, degree=3, offset=0.5),
            ("node", "wider"),
        )
        for kernel in ("dot", "poly", "squared_euclidean", "euclidean", "rbf")
    },
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
