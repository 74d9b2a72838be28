"""Calls of operators over edges: the same arguments for the Triton body, the ATen body and the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from graphkd.kernels import EdgeLayout
from graphkd.kernels.cuda import BODIES
from graphkd.kernels.edges.segments import segment_log_softmax_reference
from tests.kernels.graphs import EXAMPLE, NO_EDGES, ONE_NODE, Graph, assert_close

# Node 3 has 40 in-edges, several chunks however rows are cut; nodes 1 and 6 have none.
HUGE_ROW = Graph((*((i % 7, 3) for i in range(40)), (3, 0), (3, 2), (5, 4), (2, 5), (0, 5)), 7, seed=3)
# The same with all edges turned round: node 3 has 40 out-edges.
HUGE_COLUMN = Graph(tuple((target, source) for source, target in HUGE_ROW.edges), 7, seed=4)
GRAPHS = {
    "example": EXAMPLE,
    "no_edges": NO_EDGES,
    "one_node": ONE_NODE,
    "huge_row": HUGE_ROW,
    "huge_column": HUGE_COLUMN,
}
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def apart(tensor: Tensor) -> Tensor:
    """The same numbers, each two places from the next; a copy between devices would close the gaps."""
    return tensor.repeat_interleave(2, dim=-1)[..., ::2]


@dataclass(frozen=True)
class Inputs:
    """Tensors on a graph: features x, y (N, d), values of edges, log-probabilities (E,), a gradient of nodes (N,)."""

    x: Tensor
    y: Tensor
    values: Tensor
    log_prob: Tensor
    grad: Tensor
    layout: EdgeLayout

    @classmethod
    def draw(cls, graph: Graph, dtype: torch.dtype, width: int, device: torch.device) -> Inputs:
        """Features and values of a dtype; what is always float32 in practice stays so. Nothing is contiguous."""
        values = graph.values(dtype, salt=2)
        log_prob = segment_log_softmax_reference(graph.values(salt=3), graph.layout).float()
        grad = torch.linspace(0.5, 1.5, graph.num_nodes)
        features = (graph.nodes(width, dtype, salt=salt) for salt in (0, 1))
        return cls(*(apart(t.to(device)) for t in (*features, values, log_prob, grad)), graph.layout.to(device))

    def wide(self) -> Inputs:
        """The same numbers in float64."""
        return replace(
            self, **{name: getattr(self, name).double() for name in ("x", "y", "values", "log_prob", "grad")}
        )


@dataclass(frozen=True)
class Call:
    """An operator, its arguments, and its results by definition."""

    operator: Any
    arguments: Callable[[Inputs], tuple]
    reference: Callable[[Inputs], Tensor]

    def check(self, inputs: Inputs) -> None:
        """Launch, ATen body and reference agree, in dtype and shape too."""
        got, aten = (results(body(*self.arguments(inputs))) for body in (BODIES[self.operator], self.operator.aten))
        assert [(t.dtype, t.shape) for t in got] == [(t.dtype, t.shape) for t in aten]
        for one, other in zip(got, aten, strict=True):
            assert_close(one, other, inputs.x.dtype)
        assert_close(got[0], self.reference(inputs.wide()), inputs.x.dtype)
        if inputs.x.is_cuda:  # the interpreter runs programs one after another
            again = results(BODIES[self.operator](*self.arguments(inputs)))
            assert all(torch.equal(one, other) for one, other in zip(got, again, strict=True)), "not deterministic"


def results(output: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (output,) if isinstance(output, Tensor) else output
