"""Kernels of the graph family's relation losses, and their references, as functions of what a case draws."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from graphkd import kernels
from tests.kernels.graphs import Graph

Kernel = Callable[..., Tensor]


def powered(function: Kernel, power: int) -> Kernel:
    """``power_divergence`` with the edges of the graph as entries."""
    return lambda s, t, graph: function(s, t, graph.edge_index, graph.num_nodes, power)


def from_bank(function: Kernel, held: int) -> Kernel:
    """``sampled_logsumexp`` of three of ``held`` rows, one twice where there are few."""

    def kernel(anchor: Tensor, graph: Graph) -> Tensor:
        width = anchor.size(1)
        memory = (torch.arange(held * width).reshape(held, width) % 7 - 3).to(anchor.dtype) / 4  # exact in any dtype
        index = (torch.arange(graph.num_nodes)[:, None] * 5 + torch.tensor([0, 3, 3])) % held
        return function(anchor, memory, index, 2.0)

    return kernel


def counted(function: Kernel, *shift: float, apart: float) -> Kernel:
    """A contrast with all rows of a memory, of which some count for nobody; one that counts has length ``apart``."""

    def kernel(anchor: Tensor, graph: Graph) -> Tensor:
        width = anchor.size(1)
        memory = (torch.arange(7 * width).reshape(7, width) % 5 - 2).to(anchor.dtype) / 4  # exact in any dtype
        memory[3, 0] += apart
        counts = (torch.arange(graph.num_nodes)[:, None] + torch.arange(7)) % 4 * torch.tensor([0, 1, 1, 1, 2, 3, 1])
        return function(anchor, memory, counts, *(anchor.new_tensor(value) for value in shift), 2.0)

    return kernel


def similar(x: Tensor, graph: Graph) -> Tensor:
    """Inner products with the two most similar rows of other labels, summed."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    labels = torch.arange(graph.num_nodes) % 3
    chosen = kernels.similar_rows(x, 2, labels, same=False)
    found = (wide[chosen] * wide[:, None]).sum(dim=2)
    return (found * (chosen != torch.arange(graph.num_nodes)[:, None])).sum(dim=1)


def similar_reference(x: Tensor, graph: Graph) -> Tensor:
    labels = torch.arange(graph.num_nodes) % 3
    products = ((x @ x.t()) * (labels[:, None] != labels)).clamp_min(0)
    return products.sort(dim=1, descending=True).values[:, :2].sum(dim=1)


def transported(student: Tensor, teacher: Tensor, graph: Graph) -> Tensor:
    """The cost of moving one softmax to another along a line of classes."""
    places = torch.arange(student.size(1), dtype=torch.float64)
    return kernels.transport(
        torch.stack([student.softmax(dim=1), teacher.softmax(dim=1)]), (places[:, None] - places).abs()
    )


def transported_reference(student: Tensor, teacher: Tensor, graph: Graph) -> Tensor:
    """On a line it is the difference of the cumulated distributions."""
    return (student.softmax(dim=1) - teacher.softmax(dim=1)).cumsum(dim=1)[:, :-1].abs().sum(dim=1)
