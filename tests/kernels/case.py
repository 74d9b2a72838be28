"""What a case of a kernel's tests is: the kernel, its reference, and the inputs that both are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from graphkd.kernels.edges import segments
from tests.kernels.graphs import Graph


@dataclass(frozen=True)
class Case:
    """A kernel as a function of tensors and a graph.

    inputs: the kinds of its tensors: ``node`` (N, d), ``wider`` (N, d + 2), ``edge`` (E,), ``row`` (N,), ``log_prob``
    (E,) log-probabilities of a node's in-edges. twice: second derivatives exist; where not, asking for them must raise.
    """

    kernel: Callable[..., Tensor]
    reference: Callable[..., Tensor]
    inputs: tuple[str, ...]
    twice: bool = False
    wide_result: bool = False  # float64 whatever the inputs
    rows: bool = False  # a result of rows, in the dtype of its inputs; all others are float32 at least

    def draw(self, graph: Graph, dtype: torch.dtype, width: int = 3, *, strided: bool = False) -> tuple[Tensor, ...]:
        """Random inputs on a graph."""
        return tuple(_draw(kind, graph, dtype, width, salt, strided) for salt, kind in enumerate(self.inputs))


def _draw(kind: str, graph: Graph, dtype: torch.dtype, width: int, salt: int, strided: bool) -> Tensor:
    options = {"dtype": dtype, "salt": salt, "strided": strided}
    if kind in ("node", "wider"):
        return graph.nodes(width + 2 * (kind == "wider"), **options)
    if kind == "row":
        return graph.nodes(1, **options)[:, 0]
    values = graph.values(**options)
    if kind == "log_prob":
        return segments.segment_log_softmax_reference(values.double(), graph.layout).to(dtype)
    return values
