"""Kernels over the edges of a graph, which never hold E x d."""
