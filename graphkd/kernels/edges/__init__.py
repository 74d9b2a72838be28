"""Kernels over the edges of a graph, without E x d memory."""
