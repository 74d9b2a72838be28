"""Checks of the shapes of kernels' arguments; a ValueError names the argument, what was expected and what was given."""

from __future__ import annotations

from torch import Tensor

from graphkd.kernels.edges.layout import EdgeLayout


def check_matrices(**tensors: Tensor) -> None:
    """Check that each argument is a matrix of rows, (N, d)."""
    for name, x in tensors.items():
        if x.dim() != 2:
            remedy = f": use {name}[:, None] for rows of one number" if x.dim() == 1 else ""
            raise ValueError(f"'{name}' must be a matrix of rows, (N, d), got shape {tuple(x.shape)}{remedy}")


def check_rows(**tensors: Tensor) -> None:
    """Check that all arguments are matrices of rows, (N, d), with the same N."""
    check_matrices(**tensors)
    (first, x), *others = tensors.items()
    for name, other in others:
        if other.size(0) != x.size(0):
            raise ValueError(f"'{name}' must have as many rows as '{first}' ({x.size(0)}), got {other.size(0)}")


def check_widths(**tensors: Tensor) -> None:
    """Check that the rows of each argument are as wide as those of the first."""
    check_matrices(**tensors)
    (first, x), *others = tensors.items()
    for name, other in others:
        if other.size(1) != x.size(1):
            raise ValueError(f"'{name}' must be as wide as '{first}' ({x.size(1)}), got {other.size(1)}")


def check_vectors(length: int, **tensors: Tensor) -> None:
    """Check that each argument has shape (length,): one number per row or edge."""
    for name, x in tensors.items():
        if x.shape != (length,):
            raise ValueError(f"'{name}' must have shape ({length},), got {tuple(x.shape)}")


def check_nodes(layout: EdgeLayout, **tensors: Tensor) -> None:
    """Check that each argument has one row per node of a graph."""
    check_matrices(**tensors)
    for name, x in tensors.items():
        if x.size(0) != layout.num_nodes:
            raise ValueError(f"'{name}' must have a row for each of the {layout.num_nodes} nodes, got {x.size(0)}")
