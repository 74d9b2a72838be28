"""Sparse and dense kernels without N x N and without E x d memory, each with a slow reference beside it."""

from graphkd.kernels.edges.distances import edge_l1_distance, edge_squared_distance
from graphkd.kernels.edges.layout import EdgeLayout, edge_layout
from graphkd.kernels.edges.local_structure import local_structure_kl
from graphkd.kernels.edges.powers import power_divergence
from graphkd.kernels.edges.products import edge_dot, edge_spmm
from graphkd.kernels.edges.segments import edge_kl, segment_log_softmax
from graphkd.kernels.edges.similarity import edge_similarity, similarity_in_layout
from graphkd.kernels.pairs.affinities import affinity_sums
from graphkd.kernels.pairs.affinity_divergence import affinity_divergence
from graphkd.kernels.pairs.angles import angle_divergence
from graphkd.kernels.pairs.contrast import infonce, label_divergence, product_logsumexp, product_softplus
from graphkd.kernels.pairs.counted import counted_logsumexp, counted_softplus
from graphkd.kernels.pairs.distance_matrices import squared_distance_divergence
from graphkd.kernels.pairs.distances import distance_divergence, mean_distance
from graphkd.kernels.pairs.distributions import product_kl
from graphkd.kernels.pairs.gram import gram, gram_distance, grams, polynomial_features, row_forms
from graphkd.kernels.pairs.grouped_gram import grouped_gram_distance
from graphkd.kernels.pairs.neighbours import farthest_rows, nearest_rows, similar_rows
from graphkd.kernels.pairs.sampled import sampled_logsumexp, sampled_softplus
from graphkd.kernels.pairs.series import series_divergence
from graphkd.kernels.pairs.similarity import pair_divergence
from graphkd.kernels.pairs.spectral import log_quotient
from graphkd.kernels.pairs.transport import transport
from graphkd.kernels.rankings.likelihood import ranking_log_likelihood
from graphkd.kernels.rankings.races import race_top_k

__all__ = [
    "EdgeLayout",
    "affinity_divergence",
    "affinity_sums",
    "angle_divergence",
    "counted_logsumexp",
    "counted_softplus",
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
