"""Makers of arguments: functions of a draw, and functions that give such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import torch
from torch import Tensor, nn

from graphkd.kernels import EdgeLayout, affinity_sums, edge_layout
from graphkd.kernels.edges.segments import segment_log_softmax
from graphkd.kernels.edges.similarity import EdgeKernel
from graphkd.kernels.norms import unit_vectors
from graphkd.losses import CRCD
from recsys.data.interactions import Interactions
from recsys.data.lists import Lists
from tests.fuzz.draw import Draw

ITEMS, USERS = 6, 4


def student(draw: Draw) -> Tensor:
    """Rows of the student."""
    size = draw.sizes
    if draw.wrong == "one_dimensional":
        return draw.rows("student", size["rows"])
    return draw.rows("student", size["rows"], size["width"])


def teacher(draw: Draw) -> Tensor:
    """Rows of the teacher, which has no gradient."""
    size = draw.sizes
    rows = size["rows"] + (draw.wrong == "teacher_rows")
    width = size["teacher_width"] + (draw.wrong == "teacher_width")
    return draw.rows("teacher", rows, width, differentiable=False)


def taught(draw: Draw) -> Tensor:
    """Rows of the teacher, with a gradient."""
    return draw.leaf("teacher", teacher(draw))


def rows(name: str, width: str = "width", more: int = 0, least: int = 0) -> Callable[[Draw], Tensor]:
    """Rows of a name, as many as the student's or ``more``."""
    return lambda draw: draw.rows(name, max(draw.sizes["rows"] + more, least), draw.sizes[width])


def constant(make: Callable[[Draw], Tensor]) -> Callable[[Draw], Tensor]:
    """Without a gradient."""
    return lambda draw: make(draw).detach()


def layout(draw: Draw) -> EdgeLayout:
    return edge_layout(draw.edge_index(draw.sizes["rows"]), draw.sizes["rows"])


def edges(name: str) -> Callable[[Draw], Tensor]:
    """A value of every edge."""
    return lambda draw: draw.rows(name, draw.edge_index(draw.sizes["rows"]).size(1))


def log_prob(draw: Draw) -> Tensor:
    """Log-probabilities of the edges that enter a node."""
    found = segment_log_softmax(edges("teacher_log_prob")(draw).detach().double(), layout(draw))
    return draw.leaf("teacher_log_prob", draw.rounded(found))


def index(name: str, columns: int, end: int) -> Callable[[Draw], Tensor]:
    return lambda draw: draw.integers(name, (draw.sizes["rows"], columns), end)


def labels(draw: Draw) -> Tensor:
    return draw.labels(draw.sizes["rows"], draw.sizes["width"])


def numbers(draw: Draw) -> Tensor:
    """Labels of a regression, in the student's shape."""
    return draw.rows("y", draw.sizes["rows"], draw.sizes["width"], differentiable=False)


def several_hot(draw: Draw) -> Tensor:
    """0 or 1 for every entry of the student."""
    return draw.integers("y", (draw.sizes["rows"], draw.sizes["width"]), 2).to(draw.dtype)


def size(name: str, least: int = 0) -> Callable[[Draw], int]:
    return lambda draw: max(draw.sizes[name], least)


def some(*choices: Any) -> Callable[[Draw], Any]:
    """One of these settings."""
    return lambda draw: draw.choose(str(choices), choices)


def number(value: Any) -> Callable[[Draw], Any]:
    return lambda draw: value


def scalar(name: str, zeros: bool = False) -> Callable[[Draw], Tensor]:
    """A positive number, as a tensor."""
    return lambda draw: draw.positive(name, zeros=zeros)


def spread(draw: Draw) -> Tensor:
    """A positive semi-definite matrix."""
    x = draw.rows("x", draw.sizes["rows"], draw.sizes["width"], differentiable=False).double()
    wide = torch.promote_types(draw.narrow, torch.float32)
    return draw.leaf("gram", (x.T @ x).to(wide).to(torch.promote_types(draw.dtype, wide)))


def linear(name: str, width: str) -> Callable[[Draw], nn.Linear | None]:
    """A classifier of hidden rows, or None: they are logits."""

    def make(draw: Draw) -> nn.Linear | None:
        given = draw.choose("classifier", (True, False))
        return nn.Linear(draw.sizes[width], draw.sizes["width"]).to(draw.dtype) if given else None

    return make


def lists(name: str, columns: int) -> Callable[[Draw], Lists]:
    def make(draw: Draw) -> Lists:
        users = torch.arange(USERS)[: draw.sizes["rows"]]
        picks = torch.stack(
            [torch.randperm(ITEMS, generator=draw.generator(f"{name}{u}"))[:columns] for u in range(USERS)]
        )
        return Lists(users, picks[: draw.sizes["rows"]])

    return make


def interactions(draw: Draw) -> Interactions:
    return Interactions.from_pairs(torch.tensor([0, 1, 1, 3]), torch.tensor([1, 2, 5, 0]), USERS, ITEMS)


def table(name: str, count: int, width: str) -> Callable[[Draw], Tensor]:
    return lambda draw: draw.rows(name, count, draw.sizes[width])


def edge_kernel(draw: Draw) -> str:
    """Products and their powers only where the softmax of them is no step."""
    known = get_args(EdgeKernel)
    return draw.choose("kernel", known if draw.scale <= 1 else [name for name in known if name not in ("dot", "poly")])


def contrast(draw: Draw) -> CRCD | None:
    if draw.choose("contrast", (True, False)):
        return None
    width, other = draw.sizes["width"], draw.sizes["teacher_width"]
    return CRCD(max(draw.sizes["rows"], 2), width, other, 3, negatives=2).to(draw.dtype)


DENSITY: dict[str, Callable[[Draw], Any]] = {
    "kernel": some("cosine", "exponential", "rbf", "student_t"),
    "eps": some(0.0, 1e-6),
    "diagonal": some(True, False),
}


def grams(draw: Draw) -> tuple[Tensor, ...]:
    if "aa" not in draw.leaves:
        a, b = (
            draw.rows(name, draw.sizes["rows"], draw.sizes["width"], differentiable=False).double() for name in "ab"
        )
        for name, one, other in (("aa", a, a), ("bb", b, b), ("ab", a, b)):
            draw.leaf(name, one.T @ other)
    return tuple(draw.leaves[name] for name in ("aa", "bb", "ab"))


def density(draw: Draw, side: str) -> tuple[Tensor, Tensor]:
    """Rows, unit ones for cosines, and their row sums of the kernel."""
    kernel, eps, diagonal = (DENSITY[name](draw) for name in ("kernel", "eps", "diagonal"))
    x = draw.leaf(side, {"student": student, "teacher": teacher}[side](draw).detach())
    if x.dim() == 1:
        return x, x
    x = unit_vectors(x) if kernel == "cosine" else x
    return x, affinity_sums(x, kernel, eps=eps, diagonal=diagonal)


def rest(draw: Draw) -> Tensor:
    rest = draw.rows("rest", draw.sizes["rows"], differentiable=False)
    if draw.choose("no rest", (True, False, False)):
        rest = torch.full_like(rest, -torch.inf)
    return draw.leaf("rest", rest)


def classifier(draw: Draw) -> Tensor:
    """Weights of a teacher's classifier, constant and of an ordinary size."""
    shape = draw.sizes["classes"], draw.sizes["teacher_width"]
    return draw.rounded(torch.randn(shape, generator=draw.generator("classifier"), dtype=torch.float64))
