"""Random graphs and matrices for the tests, all drawn from seeds that a failing test prints."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from graphkd.kernels import EdgeLayout, edge_layout

# Relative and absolute tolerance of every dtype; the absolute one is in units of the largest wanted entry.
TOLERANCE = {
    torch.float64: (1e-9, 1e-12),
    torch.float32: (1e-5, 1e-6),
    torch.float16: (1e-3, 1e-3),
    torch.bfloat16: (1e-2, 1e-2),
}
QUICK = settings(max_examples=25, deadline=None, derandomize=True, database=None)


@dataclass(frozen=True)
class Graph:
    """Edges over ``num_nodes`` nodes, and the seed of whatever is drawn for them."""

    edges: tuple[tuple[int, int], ...]  # (source, target)
    num_nodes: int
    seed: int = 0

    @property
    def edge_index(self) -> Tensor:
        return torch.tensor(self.edges, dtype=torch.int64).reshape(-1, 2).t()  # not contiguous

    @cached_property
    def layout(self) -> EdgeLayout:
        return edge_layout(self.edge_index, self.num_nodes)

    def nodes(self, width: int, dtype: torch.dtype = torch.float64, *, salt: int = 0, strided: bool = False) -> Tensor:
        """Features (N, width)."""
        return normal(self.num_nodes, width, dtype=dtype, seed=self.seed + salt, strided=strided)

    def values(self, dtype: torch.dtype = torch.float64, *, salt: int = 0, strided: bool = False) -> Tensor:
        """One value an edge, (E,)."""
        return normal(len(self.edges), 1, dtype=dtype, seed=self.seed + salt, strided=strided)[:, 0]


def normal(rows: int, width: int, *, dtype: torch.dtype, seed: int, strided: bool = False) -> Tensor:
    """Normal numbers (rows, width) with deviation 1/2, whose powers fit into float16.

    ``strided`` ones are every other column of a transposed matrix.
    """
    generator = torch.Generator().manual_seed(seed)
    values = (torch.randn(rows, width, generator=generator, dtype=torch.float64) / 2).to(dtype)
    if not strided:
        return values
    wide = values.new_full((2 * width, rows), torch.nan).t()  # a kernel that reads past its strides gives NaN
    wide[:, ::2] = values
    return wide[:, ::2]


@st.composite
def graphs(draw: st.DrawFn, max_nodes: int = 7, max_edges: int = 16) -> Graph:
    """Any small graph: isolated nodes, self-loops, duplicate edges, no edge at all, a single node."""
    num_nodes = draw(st.integers(1, max_nodes))
    ids = st.integers(0, num_nodes - 1)
    edges = draw(st.lists(st.tuples(ids, ids), max_size=max_edges))
    return Graph(tuple(edges), num_nodes, draw(st.integers(0, 1000)))


# A self-loop (2, 2), a duplicate edge (0, 1), node 5 without any edge, node 4 with none entering.
EXAMPLE = Graph(((0, 1), (3, 1), (1, 0), (0, 1), (2, 2), (4, 2), (1, 3), (2, 3), (0, 3), (4, 0)), 6)
NO_EDGES = Graph((), 3)
ONE_NODE = Graph(((0, 0),), 1)


def assert_close(got: Tensor, want: Tensor, dtype: torch.dtype | None = None, factor: float = 1.0) -> None:
    """Equal shape, and values within ``factor`` times the tolerance of ``dtype`` (that of ``got``)."""
    relative, absolute = TOLERANCE[dtype or got.dtype]
    got, wanted = got.detach(), want.detach().double()
    largest = float(wanted.abs().max()) if wanted.numel() else 0.0
    atol = absolute * max(largest, 1.0)
    torch.testing.assert_close(got.double(), wanted, rtol=factor * relative, atol=factor * atol)
