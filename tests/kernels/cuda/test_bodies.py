"""All Triton bodies in their places: every kernel of ``tests/kernels/cases.py``, forward and backward, runs on them."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from graphkd.kernels import EdgeLayout, cuda
from graphkd.kernels.cuda.common import Compiled
from graphkd.kernels.operators import register_cuda
from tests.kernels.cases import CASES, Case
from tests.kernels.graphs import EXAMPLE, assert_close
from tests.kernels.test_kernels import Recorder, with_gradients


@dataclass(frozen=True)
class OnDevice:
    """A graph whose tensors lie on a device."""

    edge_index: Tensor
    layout: EdgeLayout
    num_nodes: int


def operators_of(case: Case) -> set[str]:
    """Names of the operators that a case runs."""
    with Recorder() as recorder:
        with_gradients(case.kernel, case.draw(EXAMPLE, torch.float32), EXAMPLE)
    return {function.name() for function, _ in recorder.calls}


BODIES = {operator._qualname: launch for operator, launch in cuda.BODIES.items()}
LAUNCHED = {name: case for name, case in CASES.items() if operators_of(case) & BODIES.keys()}
RUN = CASES if torch.cuda.is_available() else LAUNCHED  # on a GPU the ATen bodies too; on a CPU other tests do


@pytest.fixture
def bodies(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU they are there; interpreted, they take the place of the ATen bodies."""
    if device.type == "cpu":
        for operator, launch in cuda.BODIES.items():
            monkeypatch.setitem(operator._backend_fns, None, launch)


@pytest.mark.usefixtures("bodies")
@pytest.mark.parametrize("case", RUN.values(), ids=RUN)
def test_equals_its_reference(case: Case, device: torch.device) -> None:
    """Value and gradients."""
    tensors = case.draw(EXAMPLE, torch.float32, strided=True)
    graph = OnDevice(EXAMPLE.edge_index.to(device), EXAMPLE.layout.to(device), EXAMPLE.num_nodes)
    with device:  # where cases make labels of their own
        got = with_gradients(case.kernel, tuple(tensor.to(device) for tensor in tensors), graph)
    want = with_gradients(case.reference, tuple(tensor.double() for tensor in tensors), EXAMPLE)
    for one, other in zip(got, want, strict=True):
        assert_close(one.cpu(), other, torch.float32, factor=4.0)


@pytest.mark.parametrize("name", BODIES)
def test_registered(name: str) -> None:
    assert torch._C._dispatch_has_kernel_for_dispatch_key(name, "CUDA")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_float64_keeps_the_aten_body(dtype: torch.dtype) -> None:
    operator = Mock(aten=lambda *arguments: "aten")
    register_cuda(operator, lambda *arguments: "launch")
    (body,), _ = operator.register_kernel.return_value.call_args
    wanted = "aten" if dtype == torch.float64 else "launch"
    assert body(torch.ones(1), torch.ones(1, dtype=dtype), 2.0) == wanted


def test_every_body_is_run_by_a_case() -> None:
    run = set().union(*(operators_of(case) for case in LAUNCHED.values()))
    assert BODIES.keys() <= run


def modules() -> dict[str, object]:
    names = [module.name for module in pkgutil.iter_modules(cuda.__path__)]
    return {name: importlib.import_module(f"{cuda.__name__}.{name}") for name in names}


def test_every_kernel_is_compiled_ahead_of_time() -> None:
    """What is named ``*_kernel`` is launched, hence stands in a ``COMPILED`` list; the lists fit their kernels."""
    entries: list[Compiled] = [entry for module in modules().values() for entry in getattr(module, "COMPILED", [])]
    compiled = {entry.kernel for entry in entries}
    kernels = {
        value for module in modules().values() for name, value in vars(module).items() if name.endswith("_kernel")
    }
    assert len(kernels) >= 6
    assert kernels <= compiled
    for entry in entries:
        assert set(entry.constants) <= set(entry.kernel.arg_names)
        assert len(entry.types.split()) + len(entry.constants) == len(entry.kernel.arg_names)
