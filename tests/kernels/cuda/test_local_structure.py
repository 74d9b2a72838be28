"""The Triton bodies of the local structure loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from graphkd.kernels.cuda import chunks
from graphkd.kernels.edges import local_structure
from graphkd.losses import LSP
from tests.kernels.cuda.calls import DTYPES, GRAPHS, HUGE_COLUMN, Call, Inputs
from tests.kernels.graphs import assert_close

# kernel, unit rows
SIMILARITIES = [
    ("cosine", True),
    ("dot", False),
    ("poly", True),
    ("squared_euclidean", False),
    ("euclidean", False),
    ("rbf", False),
    ("l1", False),
    ("laplacian", False),
]
each_similarity = pytest.mark.parametrize(("kernel", "unit"), SIMILARITIES, ids=[name for name, _ in SIMILARITIES])


def value(inputs: Inputs, kernel: str, unit: bool, reverse: bool) -> torch.Tensor:
    knobs = {"sigma": 1.5, "degree": 3, "offset": 0.5, "normalise": unit, "reverse": reverse}
    return local_structure.local_structure_kl_reference(inputs.x, inputs.log_prob, inputs.layout, kernel, **knobs)


def gradient(inputs: Inputs, *knobs) -> torch.Tensor:
    x = inputs.x.clone().requires_grad_()
    return torch.autograd.grad(value(replace(inputs, x=x), *knobs), x, inputs.grad)[0]


def calls(kernel: str, unit: bool, reverse: bool) -> tuple[Call, Call]:
    """Forward and backward."""
    knobs = kernel, unit, 1.5, 3, 0.5, reverse

    def forward(i: Inputs) -> tuple:
        return i.x, i.log_prob, *i.layout.rows, *knobs

    def backward(i: Inputs) -> tuple:
        return i.grad, *local_structure._local_structure.aten(*forward(i)), *forward(i)

    return (
        Call(local_structure._local_structure, forward, lambda i: value(i, kernel, unit, reverse)),
        Call(local_structure._local_structure_pull, backward, lambda i: gradient(i, kernel, unit, reverse)),
    )


@each_similarity
@pytest.mark.parametrize("reverse", [False, True])
def test_similarities(kernel, unit, reverse, device, monkeypatch):
    """One row longer than the chunks, some empty."""
    monkeypatch.setattr(chunks, "LENGTH", 24)
    for call in calls(kernel, unit, reverse):
        call.check(Inputs.draw(GRAPHS["huge_row"], torch.float32, 5, device))


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_graphs(graph, device, monkeypatch):
    """Empty rows, no edges at all, one huge row, cut into more chunks than are combined at a time."""
    monkeypatch.setattr(chunks, "LENGTH", 2)
    for call in calls("cosine", True, graph is HUGE_COLUMN):
        call.check(Inputs.draw(graph, torch.float32, 4, device))


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize(("kernel", "unit"), [("cosine", True), ("rbf", False), ("laplacian", False)])
def test_narrow_precision(kernel, unit, dtype, device):
    for call in calls(kernel, unit, False):
        call.check(Inputs.draw(GRAPHS["example"], dtype, 7, device))


@pytest.mark.parametrize(("kernel", "unit"), [("cosine", True), ("rbf", False)])
def test_wide_rows(kernel, unit, device):
    """More columns than a tile has."""
    for call in calls(kernel, unit, True):
        call.check(Inputs.draw(GRAPHS["example"], torch.float32, 131, device))


def test_zero_rows_have_no_direction(device):
    """Its cosines and its gradient are 0."""
    inputs = Inputs.draw(GRAPHS["example"], torch.float32, 4, device)
    inputs.x[1] = 0
    for call in calls("cosine", True, False):
        call.check(inputs)


@pytest.mark.parametrize(
    "loss",
    [LSP(), LSP.distillgcn(), LSP.efficient_gnns(), LSP("dot", divergence="mse")],
    ids=["paper", "distillgcn", "efficient_gnns", "mse"],
)
def test_losses_on_the_device(loss, device):
    """On a GPU a loss takes the fused operator."""
    graph = GRAPHS["example"]
    student, teacher = graph.nodes(5, torch.float32), graph.nodes(6, torch.float32, salt=1)

    def results(*tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        student, teacher, edge_index = tensors
        student = student.clone().requires_grad_()
        value = loss(student, teacher, edge_index=edge_index)
        return value.detach().cpu(), torch.autograd.grad(value, student)[0].cpu()

    got = results(*(tensor.to(device) for tensor in (student, teacher, graph.edge_index)))
    want = results(student.double(), teacher.double(), graph.edge_index)
    for one, other in zip(got, want, strict=True):
        assert_close(one, other, torch.float32)
