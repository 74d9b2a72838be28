"""Triton bodies of softmax and divergence over the edges that enter a node."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from graphkd.kernels import edge_layout
from graphkd.kernels.cuda import chunks
from graphkd.kernels.cuda import segments as launches
from graphkd.kernels.edges import segments
from tests.kernels.cuda.calls import DTYPES, GRAPHS, Call, Inputs
from tests.kernels.graphs import assert_close


def sums(inputs: Inputs) -> torch.Tensor:
    bounds = inputs.layout.ptr.tolist()
    return torch.stack([inputs.values[a:b].sum() for a, b in pairwise(bounds)])


def ends(inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    return inputs.layout.ptr, inputs.layout.target


CALLS = {
    "sum": Call(segments._segment_sum, lambda i: (i.values.float(), *ends(i)), sums),
    "log_softmax": Call(
        segments._segment_log_softmax,
        lambda i: (i.values, *ends(i)),
        lambda i: segments.segment_log_softmax_reference(i.values, i.layout),
    ),
    **{
        f"kl{'_reverse' * reverse}": Call(
            segments._edge_kl,
            lambda i, reverse=reverse: (i.values, i.log_prob, *ends(i), reverse),
            lambda i, reverse=reverse: segments.edge_kl_reference(i.values, i.log_prob, i.layout, reverse=reverse),
        )
        for reverse in (False, True)
    },
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@each_call
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_graphs(call, graph, dtype, device, monkeypatch):
    """Empty rows, no edges at all, one huge row, cut into more chunks than are combined at a time."""
    monkeypatch.setattr(chunks, "LENGTH", 2)
    call.check(Inputs.draw(graph, dtype, 1, device))


@each_call
def test_tiles_of_edges(call, device, monkeypatch):
    """A chunk longer than a tile, and a short rest."""
    monkeypatch.setattr(chunks, "LENGTH", 24)
    call.check(Inputs.draw(GRAPHS["huge_row"], torch.float32, 1, device))


def test_more_rows_than_a_tile_has(device):
    """100 nodes, node i with i % 3 in-edges."""
    edges = [(j, i) for i in range(100) for j in range(i % 3)]
    layout = edge_layout(torch.tensor(edges).t(), 100).to(device)
    scores = torch.linspace(-3, 3, len(edges), device=device)
    got = launches.segment_log_softmax(scores, layout.ptr, layout.target)
    assert_close(got, segments.segment_log_softmax_reference(scores.double(), layout))


@pytest.mark.parametrize("reverse", [False, True])
def test_scores_far_apart(reverse, device, monkeypatch):
    """Running maxima that jump by hundreds overflow nothing."""
    monkeypatch.setattr(chunks, "LENGTH", 4)
    scores = torch.tensor([-400.0, 300, 0, 299, 900, -900, 899, 0, 0, 0, 898], device=device)
    layout = edge_layout(torch.stack([torch.arange(11), torch.zeros(11, dtype=torch.int64)]), 11).to(device)
    teacher = segments.segment_log_softmax_reference(scores.double() / 300, layout)
    got = launches.edge_kl(scores, teacher.float(), layout.ptr, layout.target, reverse)
    assert_close(got, segments.edge_kl_reference(scores.double(), teacher, layout, reverse=reverse))


def test_not_a_number_spreads_over_its_node_alone(device):
    layout = edge_layout(torch.tensor([[0, 1, 2], [0, 0, 1]]), 3).to(device)
    scores = torch.tensor([math.nan, 1.0, 2.0], device=device)
    got = launches.edge_kl(scores, scores.new_zeros(3), layout.ptr, layout.target, False)
    assert got.isnan().tolist() == [True, False, False]
    assert got[2] == 0
