"""Difference of powers of two sparse matrices, from the entries of the powers alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from graphkd.kernels.checks import check_vectors
from graphkd.kernels.edges.layout import check_edge_index
from graphkd.kernels.operators import accumulation_dtype, operator, register_symmetric


def power_divergence(student: Tensor, teacher: Tensor, edge_index: Tensor, num_nodes: int, power: int = 1) -> Tensor:
    """Squared Frobenius distance |S^p - T^p|^2 of two sparse matrices: (E,), (E,), (2, E) -> scalar.

    Both have values at the same entries, rows ``edge_index[0]`` and columns ``edge_index[1]``; values of duplicate
    entries are summed. Time and memory grow with the number of products s_il s_lj in each multiplication: O(E) for
    p = 1, O(sum of squared degrees) for p = 2. Not twice differentiable. Raises ValueError for a power below 1.
    """
    if power < 1:
        raise ValueError(f"'power' must be 1 at least, got {power}")
    check_edge_index(edge_index, num_nodes)
    check_vectors(edge_index.size(1), student=student, teacher=teacher)
    divergence: Tensor = _power_divergence(student, teacher, edge_index, num_nodes, power)
    return divergence


def power_divergence_reference(
    student: Tensor, teacher: Tensor, edge_index: Tensor, num_nodes: int, power: int = 1
) -> Tensor:
    """``power_divergence`` with the N x N matrices."""
    s, t = (
        x.new_zeros(num_nodes, num_nodes).index_put((edge_index[0], edge_index[1]), x, accumulate=True)
        for x in (student, teacher)
    )
    return (torch.linalg.matrix_power(s, power) - torch.linalg.matrix_power(t, power)).square().sum()


class _Products(NamedTuple):
    """Products that sum to a power of a matrix: the entry that each adds to, and the positions of its two factors."""

    entry: Tensor
    left: Tensor  # among the entries of the previous power
    right: Tensor  # among the entries of the matrix
    entries: int


def _plan(edge_index: Tensor, num_nodes: int, power: int) -> tuple[Tensor, int, list[_Products]]:
    """Plan the powers: the entry of each value, the number of different entries, and each power's products."""
    keys, place = (edge_index[0].long() * num_nodes + edge_index[1]).unique(return_inverse=True)
    row, column = keys // num_nodes, keys % num_nodes
    pointer = torch.searchsorted(row, torch.arange(num_nodes + 1, device=row.device))
    return place, keys.numel(), list(_multiplications(row, column, pointer, power))


def _multiplications(row: Tensor, column: Tensor, pointer: Tensor, power: int) -> Iterator[_Products]:
    num_nodes = pointer.numel() - 1
    start, end = row, column
    for _ in range(power - 1):
        degree = pointer.diff()[end]
        left = torch.arange(end.numel(), device=end.device).repeat_interleave(degree)
        within = torch.arange(left.numel(), device=end.device) - (degree.cumsum(0) - degree)[left]
        right = pointer[end[left]] + within
        keys, entry = (start[left] * num_nodes + column[right]).unique(return_inverse=True)
        yield _Products(entry, left, right, keys.numel())
        start, end = keys // num_nodes, keys % num_nodes


def _powers(values: Tensor, place: Tensor, entries: int, plan: list[_Products]) -> list[Tensor]:
    wide = values.to(accumulation_dtype(values))
    found = [wide.new_zeros(entries).index_add_(0, place, wide)]
    for step in plan:
        products = found[-1][step.left] * found[0][step.right]
        found.append(products.new_zeros(step.entries).index_add_(0, step.entry, products))
    return found


@operator("power_divergence")
def _power_divergence(student: Tensor, teacher: Tensor, edge_index: Tensor, num_nodes: int, power: int) -> Tensor:
    plan = _plan(edge_index, num_nodes, power)
    error = _powers(student, *plan)[-1] - _powers(teacher, *plan)[-1]
    return error.double().square().sum().to(error.dtype)


@_power_divergence.register_fake
def _(student: Tensor, teacher: Tensor, edge_index: Tensor, num_nodes: int, power: int) -> Tensor:
    return student.new_empty((), dtype=accumulation_dtype(student))


@operator("power_divergence_backward")
def _pull(student: Tensor, teacher: Tensor, edge_index: Tensor, num_nodes: int, power: int) -> Tensor:
    """Compute the gradient of the student; by symmetry the teacher's is that of the swapped arguments."""
    place, entries, plan = _plan(edge_index, num_nodes, power)
    powers = _powers(student, place, entries, plan)
    pull = 2 * (powers[-1] - _powers(teacher, place, entries, plan)[-1])
    of_matrix = torch.zeros_like(powers[0])
    for step, before in zip(reversed(plan), reversed(powers[:-1]), strict=True):
        of_products = pull[step.entry]
        of_matrix.index_add_(0, step.right, of_products * before[step.left])
        pull = torch.zeros_like(before).index_add_(0, step.left, of_products * powers[0][step.right])
    return of_matrix.add_(pull)[place].to(student.dtype)


@_pull.register_fake
def _(student: Tensor, teacher: Tensor, edge_index: Tensor, num_nodes: int, power: int) -> Tensor:
    return torch.empty_like(student, memory_format=torch.contiguous_format)


register_symmetric(_power_divergence, _pull)
