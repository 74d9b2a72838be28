"""Triton bodies of the operators, one file a family; imported where Triton is installed.

They take float32, float16 and bfloat16 and sum in float32. For float64 the ATen bodies run, some of which add with
atomics on a GPU, in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphkd.kernels.cuda import contrast, edges, local_structure, pairs, races, rankings, segments
from graphkd.kernels.edges.distances import _edge_l1_distance, _edge_l1_pull, _edge_squared_distance, _edge_totals
from graphkd.kernels.edges.local_structure import _local_structure, _local_structure_pull
from graphkd.kernels.edges.products import _edge_dot, _edge_spmm
from graphkd.kernels.edges.segments import _edge_kl, _segment_log_softmax, _segment_sum
from graphkd.kernels.operators import register_cuda
from graphkd.kernels.pairs.contrast import _product_logsumexp
from graphkd.kernels.pairs.contrast import _pull as _logsumexp_pull
from graphkd.kernels.pairs.similarity import _pair_divergence, _pair_pull
from graphkd.kernels.rankings.likelihood import _ranking_backward, _ranking_log_likelihood
from graphkd.kernels.rankings.races import _race_top_k

BODIES: dict[Any, Callable[..., Any]] = {
    _edge_dot: edges.edge_dot,
    _edge_spmm: edges.edge_spmm,
    _edge_squared_distance: edges.edge_squared_distance,
    _edge_l1_distance: edges.edge_l1_distance,
    _edge_l1_pull: edges.edge_l1_distance_backward,
    _edge_totals: segments.edge_totals,
    _segment_sum: segments.segment_sum,
    _segment_log_softmax: segments.segment_log_softmax,
    _edge_kl: segments.edge_kl,
    _local_structure: local_structure.local_structure,
    _local_structure_pull: local_structure.local_structure_backward,
    _product_logsumexp: contrast.product_logsumexp,
    _logsumexp_pull: contrast.product_logsumexp_backward,
    _pair_divergence: pairs.pair_divergence,
    _pair_pull: pairs.pair_divergence_backward,
    _race_top_k: races.race_top_k,
    _ranking_log_likelihood: rankings.ranking_log_likelihood,
    _ranking_backward: rankings.ranking_log_likelihood_backward,
}
for _operator, _launch in BODIES.items():
    register_cuda(_operator, _launch)
