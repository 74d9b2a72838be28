"""Sparse and dense primitives that need no N x N and no E x d memory, each with a slow reference beside it."""

from graphkd.kernels.affinities import affinity_sums
from graphkd.kernels.angles import angle_divergence
from graphkd.kernels.contrast import infonce, label_divergence, product_logsumexp, product_softplus, sampled_softplus
from graphkd.kernels.distance_matrices import squared_distance_divergence
from graphkd.kernels.distances import distance_divergence, mean_distance
from graphkd.kernels.distributions import product_kl
from graphkd.kernels.divergences import affinity_divergence
from graphkd.kernels.edge_distances import edge_l1_distance, edge_squared_distance
from graphkd.kernels.edges import edge_dot, edge_spmm
from graphkd.kernels.gram_matrix import gram, gram_distance, grams, polynomial_features, row_forms
from graphkd.kernels.grouped_gram import grouped_gram_distance
from graphkd.kernels.layout import EdgeLayout, edge_layout
from graphkd.kernels.local_structure import local_structure_kl
from graphkd.kernels.neighbours import farthest_rows, nearest_rows, similar_rows
from graphkd.kernels.pairs import pair_divergence
from graphkd.kernels.races import race_top_k
from graphkd.kernels.rankings import ranking_log_likelihood
from graphkd.kernels.sampled import sampled_logsumexp
from graphkd.kernels.segments import edge_kl, segment_log_softmax
from graphkd.kernels.series import series_divergence
from graphkd.kernels.similarity import edge_similarity, similarity_in_layout
from graphkd.kernels.sparse_powers import power_divergence
from graphkd.kernels.spectral import log_quotient
from graphkd.kernels.transport import transport

__all__ = [
    "EdgeLayout",
    "affinity_divergence",
    "affinity_sums",
    "angle_divergence",
    "distance_divergence",
    "edge_dot",
    "edge_kl",
    "edge_l1_distance",
    "edge_layout",
    "edge_similarity",
    "edge_spmm",
    "edge_squared_distance",
    "farthest_rows",
    "gram",
    "gram_distance",
    "grams",
    "grouped_gram_distance",
    "infonce",
    "label_divergence",
    "local_structure_kl",
    "log_quotient",
    "mean_distance",
    "nearest_rows",
    "pair_divergence",
    "polynomial_features",
    "power_divergence",
    "product_kl",
    "product_logsumexp",
    "product_softplus",
    "race_top_k",
    "ranking_log_likelihood",
    "row_forms",
    "sampled_logsumexp",
    "sampled_softplus",
    "segment_log_softmax",
    "series_divergence",
    "similar_rows",
    "similarity_in_layout",
    "squared_distance_divergence",
    "transport",
]

try:
    import triton  # noqa: F401
except ImportError:  # not part of a plain CPU installation; every operator keeps its ATen body on every device
    pass
else:
    from graphkd.kernels import cuda  # noqa: F401  (gives operators their CUDA bodies)
