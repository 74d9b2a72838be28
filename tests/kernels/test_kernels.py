"""What holds for every kernel of ``cases.py``: right, differentiable, compilable, made of lawful operators."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from graphkd import kernels
from tests.kernels.cases import CASES, Case
from tests.kernels.graphs import EXAMPLE, NO_EDGES, ONE_NODE, QUICK, Graph, assert_close, graphs
from tests.lanes import thinned

NARROW = (torch.float32, torch.float16, torch.bfloat16)
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def leaves(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().requires_grad_() for tensor in tensors)


def cotangent(value: Tensor) -> Tensor:
    """A gradient that differs from entry to entry."""
    return torch.linspace(0.5, 1.5, value.numel(), dtype=torch.float64).reshape(value.shape).to(value)


def with_gradients(function: Any, tensors: tuple[Tensor, ...], graph: Graph) -> tuple[Tensor, ...]:
    """The value and the gradient of every input."""
    inputs = leaves(tensors)
    value = function(*inputs, graph)
    return value.detach(), *torch.autograd.grad(value, inputs, cotangent(value))


@each_case
@QUICK
@example(graph=NO_EDGES, width=1, strided=False)
@example(graph=ONE_NODE, width=3, strided=True)
@given(graph=graphs(), width=st.integers(1, 9), strided=...)
def test_equals_its_reference(case: Case, graph: Graph, width: int, strided: bool) -> None:
    """Value and gradients, on any graph, any width, any strides."""
    tensors = case.draw(graph, torch.float64, width, strided=strided)
    got, want = (with_gradients(function, tensors, graph) for function in (case.kernel, case.reference))
    for one, other in zip(got, want, strict=True):
        assert_close(one, other)


@each_case
@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_narrow_precision(case: Case, dtype: torch.dtype) -> None:
    """Values per edge or node are summed and returned in float32, gradients have the dtype of their tensors."""
    tensors = case.draw(EXAMPLE, dtype, 5, strided=True)
    got = with_gradients(case.kernel, tensors, EXAMPLE)
    want = with_gradients(case.reference, tuple(tensor.double() for tensor in tensors), EXAMPLE)
    assert got[0].dtype == (dtype if case.rows else torch.float64 if case.wide_result else torch.float32)
    assert_close(got[0], want[0], dtype)
    for one, other in zip(got[1:], want[1:], strict=True):
        assert one.dtype == dtype
        assert_close(one, other, dtype, factor=4.0)  # a gradient passes through several narrow results


@each_case
def test_gradcheck(case: Case) -> None:
    assert gradcheck(lambda *tensors: case.kernel(*tensors, EXAMPLE), leaves(case.draw(EXAMPLE, torch.float64, 2)))


@each_case
def test_second_derivative(case: Case) -> None:
    """Either right or refused."""
    inputs = leaves(case.draw(EXAMPLE, torch.float64, 2))
    if case.twice:
        assert gradgradcheck(lambda *tensors: case.kernel(*tensors, EXAMPLE), inputs, fast_mode=True)
        return
    value = case.kernel(*inputs, EXAMPLE)
    first = torch.autograd.grad(value, inputs, cotangent(value), create_graph=True)
    with pytest.raises(RuntimeError, match="autograd formula"):
        torch.autograd.grad(sum(grad.square().sum() for grad in first), inputs)


@pytest.mark.parametrize("case", thinned(CASES.values(), 4), ids=CASES)
def test_compiles(case: Case) -> None:
    """In one graph, to the same bits."""
    torch.compiler.reset()
    tensors, layout = case.draw(EXAMPLE, torch.float64), EXAMPLE
    compiled = torch.compile(case.kernel, fullgraph=True, backend="aot_eager")
    # Eager first: a graph keeps its layout once it is asked for, by a lock that cannot be compiled.
    want, got = (with_gradients(function, tensors, layout) for function in (case.kernel, compiled))
    for one, other in zip(got, want, strict=True):
        assert torch.equal(one, other)


@each_case
def test_autocast_changes_nothing(case: Case) -> None:
    """Mixed precision is for layers: what a kernel gets in float32 it also computes in float32."""
    inputs = leaves(case.draw(EXAMPLE, torch.float32, 5))
    with torch.autocast("cpu", torch.bfloat16):
        value = case.kernel(*inputs, EXAMPLE)
    got = value.detach(), *torch.autograd.grad(value, inputs, cotangent(value))  # outside, as torch wants it
    for one, other in zip(got, with_gradients(case.kernel, inputs, EXAMPLE), strict=True):
        assert_close(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["edge_similarity_cosine", "edge_kl", "gram"])
def test_compiles_to_machine_code(name: str) -> None:
    """With the compiler that users get, C++ included; new operands of other sizes too."""
    torch.compiler.reset()
    case = CASES[name]
    compiled = torch.compile(case.kernel, fullgraph=True)
    for graph in (EXAMPLE, ONE_NODE, NO_EDGES):
        tensors = case.draw(graph, torch.float64)
        got, want = (with_gradients(function, tensors, graph) for function in (compiled, case.kernel))
        for one, other in zip(got, want, strict=True):
            assert_close(one, other)


@each_case
def test_inputs_are_not_changed(case: Case) -> None:
    tensors = case.draw(EXAMPLE, torch.float64)
    before = [tensor.clone() for tensor in tensors]
    with_gradients(case.kernel, tensors, EXAMPLE)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(tensors, before, strict=True))


# ---------------------------------------------------------------- the operators themselves
class Recorder(TorchDispatchMode):
    """Keeps the arguments of every operator of ours that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function.namespace == "graphkd":
            self.calls.append((function, tuple(a.detach().clone() if isinstance(a, Tensor) else a for a in args)))
        return function(*args, **(kwargs or {}))


@functools.cache
def recorded(graph: Graph) -> dict[str, dict[tuple, tuple]]:
    """Operator -> a call for every setting of its knobs, from running all cases forward and backward."""
    found: dict[str, dict[tuple, tuple]] = {}
    for case in CASES.values():
        with Recorder() as recorder:
            with_gradients(case.kernel, case.draw(graph, torch.float64), graph)
        for function, args in recorder.calls:
            knobs = tuple(repr(argument) for argument in args if not isinstance(argument, Tensor))
            found.setdefault(function.name(), {})[knobs] = (function, args)
    return found


def operators() -> list[str]:
    """Every operator that the package registers."""
    for module in pkgutil.iter_modules(kernels.__path__, f"{kernels.__name__}."):
        if module.name != "graphkd.kernels.cuda":  # bodies only; not to be imported without Triton
            importlib.import_module(module.name)
    return sorted(name for name in torch._C._dispatch_get_all_op_names() if name.startswith("graphkd::"))


def operators_on_graphs() -> Iterator[Any]:
    """Each operator on each graph; three in four, and those whose forms are many, in the slow lane."""
    many = ("local_structure", "affinity_divergence", "affinity_sums", "density_divergence")
    for place, name in enumerate(operators()):
        long = place % 4 > 0 or name.removeprefix("graphkd::").removesuffix("_backward") in many
        yield pytest.param(name, EXAMPLE, id=f"{name}-example", marks=[pytest.mark.slow] * long)
        yield pytest.param(name, NO_EDGES, id=f"{name}-no_edges")


@pytest.mark.parametrize(("operator", "graph"), list(operators_on_graphs()))
def test_operator_is_lawful(operator: str, graph: Graph) -> None:
    """Schema, fake tensor, autograd registration and tracing, with the arguments that the kernels give it."""
    calls = recorded(graph).get(operator)
    assert calls, f"no case of tests/kernels/cases.py runs {operator}"
    checks = {} if graph is EXAMPLE else {"test_utils": ("test_schema", "test_faketensor")}
    for function, args in calls.values():
        differentiable = not operator.endswith("_backward")
        arguments = [
            argument.requires_grad_(differentiable)
            if isinstance(argument, Tensor) and argument.is_floating_point()
            else argument
            for argument in args
        ]
        torch.library.opcheck(function, arguments, **checks)
