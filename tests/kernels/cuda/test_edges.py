"""Triton bodies of products, distances and sums over edges."""

from __future__ import annotations

import pytest
import torch

from graphkd.kernels.cuda import chunks
from graphkd.kernels.edges import distances, products
from tests.kernels.cuda.calls import DTYPES, GRAPHS, Call, Inputs


def l1_gradient(inputs: Inputs) -> torch.Tensor:
    x = inputs.x.clone().requires_grad_()
    value = distances.edge_l1_distance_reference(x, inputs.layout)
    return torch.autograd.grad(value, x, inputs.values)[0]


def totals(inputs: Inputs) -> torch.Tensor:
    zero = inputs.values.new_zeros(inputs.layout.num_nodes)
    ends = inputs.layout.target, inputs.layout.source
    return sum((zero.index_add(0, end, inputs.values) for end in ends), zero)


CALLS = {
    "dot": Call(
        products._edge_dot,
        lambda i: (i.x, i.y, *i.layout.rows),
        lambda i: products.edge_dot_reference(i.x, i.y, i.layout),
    ),
    "squared_distance": Call(
        distances._edge_squared_distance,
        lambda i: (i.x, *i.layout.rows),
        lambda i: distances.edge_squared_distance_reference(i.x, i.layout),
    ),
    "l1_distance": Call(
        distances._edge_l1_distance,
        lambda i: (i.x, *i.layout.rows),
        lambda i: distances.edge_l1_distance_reference(i.x, i.layout),
    ),
    "l1_distance_backward": Call(
        distances._edge_l1_pull, lambda i: (i.values.float(), i.x, *i.layout.rows), l1_gradient
    ),
    "totals": Call(distances._edge_totals, lambda i: (i.values.float(), *i.layout.rows), totals),
    "spmm": Call(
        products._edge_spmm,
        lambda i: (i.values, i.x, *i.layout.rows, False),
        lambda i: products.edge_spmm_reference(i.values, i.x, i.layout),
    ),
    "spmm_transposed": Call(
        products._edge_spmm,
        lambda i: (i.values, i.x, *i.layout.rows, True),
        lambda i: products.edge_spmm_reference(i.values, i.x, i.layout, transpose=True),
    ),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@each_call
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_graphs(call, graph, device, monkeypatch):
    """Empty rows, no edges at all, one huge row, cut into more chunks than are combined at a time."""
    monkeypatch.setattr(chunks, "LENGTH", 2)
    call.check(Inputs.draw(graph, torch.float32, 5, device))


@each_call
@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
def test_narrow_precision(call, dtype, device):
    call.check(Inputs.draw(GRAPHS["example"], dtype, 7, device))


@each_call
def test_tiles_of_edges(call, device, monkeypatch):
    """A chunk longer than a tile, and a short rest."""
    monkeypatch.setattr(chunks, "LENGTH", 24)
    call.check(Inputs.draw(GRAPHS["huge_row"], torch.float32, 3, device))


@each_call
@pytest.mark.parametrize("width", [1, 16, 131])
def test_widths(call, width, device):
    """One column, a whole tile, a rest in a second tile."""
    call.check(Inputs.draw(GRAPHS["one_node"], torch.float32, width, device))
