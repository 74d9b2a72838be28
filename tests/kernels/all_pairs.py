"""Kernels over all pairs of rows, and their references, as functions of the tensors and graph that a case draws."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from graphkd import kernels
from graphkd.kernels.pairs.gram import gram_reference
from tests.kernels.graphs import Graph

Kernel = Callable[..., Tensor]


def form_of_gram(forms: Kernel, gram: Kernel) -> Kernel:
    """``row_forms`` of a matrix that has a gradient too."""
    return lambda a, b, _: forms(a, gram(a, b), b)


def of_gram(function: Kernel, gram: Kernel = kernels.gram) -> Kernel:
    """A function of a symmetric matrix, on X' X."""
    return lambda x, _: function(gram(x, x), 0.5)


def log_of_reference_gram(function: Kernel) -> Kernel:
    return of_gram(function, gram_reference)


def scaled(function: Kernel, **knobs: object) -> Kernel:
    """``distance_divergence`` with scales that are positive and have gradients."""

    def kernel(student: Tensor, teacher: Tensor, one: Tensor, other: Tensor, graph: Graph) -> Tensor:
        scales = (1 + row.double().square().mean() for row in (one, other))
        return function(student, teacher, *scales, **knobs)

    return kernel


def grouped(function: Kernel) -> Kernel:
    """``product_kl`` with two groups of candidates where their number is even."""
    return lambda *tensors: function(*tensors[:-1], 2.0, 2 - tensors[-1].num_nodes % 2)


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def nearest(x: Tensor, graph: Graph) -> Tensor:
    """Squared distances to the two nearest rows, summed."""
    wide = _wide(x)
    return (wide[kernels.nearest_rows(x, 2)] - wide[:, None]).square().sum(dim=(1, 2))


def nearest_reference(x: Tensor, graph: Graph) -> Tensor:
    squared = (x[:, None] - x).square().sum(dim=2)
    others = [torch.cat([row[:i], row[i + 1 :]]) for i, row in enumerate(squared)]
    return torch.stack([row.sort().values[:2].sum() for row in others])


def farthest(x: Tensor, graph: Graph) -> Tensor:
    """The largest squared distance."""
    one, other = _wide(x)[kernels.farthest_rows(x)]
    return (one - other).square().sum()


def farthest_reference(x: Tensor, graph: Graph) -> Tensor:
    return (x[:, None] - x).square().sum(dim=2).amax()
