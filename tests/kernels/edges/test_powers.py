"""Powers of sparse matrices, entry by entry of their products."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.kernels import power_divergence
from tests.kernels.graphs import QUICK, Graph, assert_close, graphs


@QUICK
@given(graph=graphs(), power=st.integers(1, 4))
def test_power_divergence(graph: Graph, power):
    """Entry by entry of the product of matrices, in which the values of one entry add up."""
    s, t = graph.values(salt=1), graph.values(salt=2)
    nodes = range(graph.num_nodes)
    found = []
    for values in (s, t):
        w = [[0.0] * graph.num_nodes for _ in nodes]
        for (i, j), value in zip(graph.edges, values.tolist(), strict=True):
            w[i][j] += value
        found.append(w)
        for _ in range(power - 1):
            found[-1] = [[sum(found[-1][i][k] * w[k][j] for k in nodes) for j in nodes] for i in nodes]
    want = sum((found[0][i][j] - found[1][i][j]) ** 2 for i in nodes for j in nodes)
    got = power_divergence(s, t, graph.edge_index, graph.num_nodes, power)
    assert_close(got, torch.tensor(want, dtype=torch.float64))


def test_power_must_be_positive():
    with pytest.raises(ValueError, match="'power' must be 1 at least, got 0"):
        power_divergence(torch.ones(1), torch.ones(1), torch.zeros(2, 1, dtype=torch.int64), 2, 0)
