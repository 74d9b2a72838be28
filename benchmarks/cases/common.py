"""What the kernels' benchmark measures: sizes, providers (ways to compute an op), inputs, and who "ours" is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor

from graphkd.kernels import EdgeLayout, edge_layout

SCATTER = find_spec("torch_scatter") is not None


class Size(NamedTuple):
    """Nodes, edges (0: the op has none), width of the student's and of the teacher's features (0: none)."""

    nodes: int
    edges: int = 0
    student: int = 64
    teacher: int = 256


class Provider(NamedTuple):
    """One way to compute an op, about how much memory forward and backward take, and why it must not be run.

    within: a context in which both passes run.
    """

    forward: Callable[[], Tensor]
    gigabytes: float = 0.0
    unfit: str = ""
    within: Callable[[], AbstractContextManager] = nullcontext

    def refusal(self, limit_gb: float) -> str:
        """Why it is not run; empty if it is."""
        if self.gigabytes > limit_gb:
            return f"not run: needs about {self.gigabytes:,.3g} GB, --limit-gb is {limit_gb:g}"
        return self.unfit and f"not run: {self.unfit}"


class Case(NamedTuple):
    """The ways to compute one op on one input, and the tensors whose gradients are taken.

    moved: bytes that forward and backward must move to and from memory, 0 where they do not decide. flops: operations
    of their matrix products, of a symmetric one half; 0 likewise.
    """

    leaves: list[Tensor]
    providers: dict[str, Provider]
    moved: int = 0
    flops: int = 0


Builder = Callable[[Size, torch.device], Case]
# op -> its inputs, its sizes, and those that --sizes large adds
Ops = dict[str, tuple[Builder, list[Size], list[Size]]]


# ---------------------------------------------------------------- ours
def ours(device: torch.device) -> str:
    """The name of the library as it runs on a device: its operators' Triton bodies on a GPU, else the ATen ones."""
    return "triton" if device.type == "cuda" and find_spec("triton") is not None else "aten"


def library(forward: Callable[[], Tensor], device: torch.device) -> dict[str, Provider]:
    """The library's own providers: on a GPU both bodies of its operators."""
    own = ours(device)
    bodies = {"aten": Provider(forward, within=aten_bodies)} if own != "aten" else {}
    return bodies | {own: Provider(forward)}


@contextmanager
def aten_bodies() -> Iterator[None]:
    """Run the ATen bodies of the operators that have Triton ones."""
    from graphkd.kernels.cuda import BODIES  # where Triton is

    with ExitStack() as stack:
        for operator in BODIES:
            stack.enter_context(operator.set_kernel_enabled("cuda", enabled=False))
        yield


# ---------------------------------------------------------------- inputs
def features(nodes: int, width: int, device: torch.device) -> Tensor:
    """Random rows of length 1, so that exp(-|x - y|^2) is not 0."""
    return torch.randn(nodes, width, device=device).mul_(width**-0.5)


def random_edges(size: Size, device: torch.device) -> Tensor:
    """(2, E)."""
    return torch.randint(size.nodes, (2, size.edges), device=device)


def random_layout(size: Size, device: torch.device) -> EdgeLayout:
    """Random edges, sorted."""
    return edge_layout(random_edges(size, device), size.nodes)


def sides(size: Size, device: torch.device) -> tuple[Tensor, Tensor]:
    """Features of a student, which require gradients, and of a teacher."""
    student = features(size.nodes, size.student, device).requires_grad_()
    return student, features(size.nodes, size.teacher, device)


def gathered(edges: int, width: int) -> int:
    """Bytes of a pass over the edges that fetches a float32 row for every edge, and its index."""
    return 4 * edges * (width + 1)


def gb(floats: float) -> float:
    """Gigabytes that float32 numbers take."""
    return 4 * floats / 1e9
