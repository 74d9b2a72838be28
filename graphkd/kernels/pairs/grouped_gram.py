"""Distances between similarity matrices over pairs within the same group, from the Gram matrices of each group."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from graphkd.kernels.checks import check_rows, check_vectors
from graphkd.kernels.operators import operator, register_symmetric
from graphkd.kernels.pairs.gram import gram_distance


def grouped_gram_distance(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Squared Frobenius distance of S S' and T T' over pairs of equal label: (N, p), (N, q), (N,) -> scalar, float64.

    sum_c |S_c S_c' - T_c T_c'|^2 over the rows of each label c: O(N (p^2 + q^2 + p q)) time, O(N (p + q)) memory.
    Not twice differentiable.
    """
    check_rows(student=student, teacher=teacher)
    check_vectors(student.size(0), labels=labels)
    distance: Tensor = _grouped_gram_distance(student, teacher, labels)
    return distance


def grouped_gram_distance_reference(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """``grouped_gram_distance`` with both N x N matrices."""
    s, t = (x.double() @ x.double().t() for x in (student, teacher))
    return ((s - t) * (labels[:, None] == labels)).square().sum()


def groups(labels: Tensor) -> Iterator[Tensor]:
    """List the rows of each label, smallest label first."""
    sizes = labels.unique(return_counts=True)[1]
    return iter(labels.argsort(stable=True).split(sizes.tolist()))


@operator("grouped_gram_distance")
def _grouped_gram_distance(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    total = torch.zeros((), dtype=torch.float64, device=student.device)
    for rows in groups(labels):
        s, t = student[rows].double(), teacher[rows].double()
        total += gram_distance(s.t() @ s, t.t() @ t, s.t() @ t)
    return total


@_grouped_gram_distance.register_fake
def _(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    return student.new_empty((), dtype=torch.float64)


@operator("grouped_gram_distance_backward")
def _pull(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Compute the gradient of the student; by symmetry the teacher's is that of the swapped arguments."""
    pull = torch.empty_like(student, memory_format=torch.contiguous_format)
    for rows in groups(labels):
        s, t = student[rows].double(), teacher[rows].double()
        pull[rows] = (s @ (s.t() @ s)).sub_(t @ (t.t() @ s)).mul_(4).to(student.dtype)
    return pull


@_pull.register_fake
def _(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    return torch.empty_like(student, memory_format=torch.contiguous_format)


register_symmetric(_grouped_gram_distance, _pull)
