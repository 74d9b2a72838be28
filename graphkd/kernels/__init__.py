"""Sparse and dense primitives that need no N x N and no E x d memory, each with a slow reference beside it."""

from graphkd.kernels.contrast import infonce, product_logsumexp
from graphkd.kernels.edges import edge_dot, edge_l1_distance, edge_spmm, edge_squared_distance
from graphkd.kernels.gram_matrix import gram, gram_distance, grams, polynomial_features, squared_distance_divergence
from graphkd.kernels.layout import EdgeLayout, edge_layout
from graphkd.kernels.pairs import pair_divergence
from graphkd.kernels.rankings import ranking_log_likelihood
from graphkd.kernels.segments import edge_kl, segment_log_softmax
from graphkd.kernels.similarity import edge_similarity, similarity_in_layout

__all__ = [
    "EdgeLayout",
    "edge_dot",
    "edge_kl",
    "edge_l1_distance",
    "edge_layout",
    "edge_similarity",
    "edge_spmm",
    "edge_squared_distance",
    "gram",
    "gram_distance",
    "grams",
    "infonce",
    "pair_divergence",
    "polynomial_features",
    "product_logsumexp",
    "ranking_log_likelihood",
    "segment_log_softmax",
    "similarity_in_layout",
    "squared_distance_divergence",
]
