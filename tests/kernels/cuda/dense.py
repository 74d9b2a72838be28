"""Dense operators: Triton body, ATen body and definition side by side."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.cuda import BODIES
from tests.kernels.cuda.calls import results
from tests.kernels.graphs import assert_close, normal


def matrix(rows: int, width: int, device: torch.device, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Normal numbers, not contiguous; what lies between them is NaN."""
    return normal(rows, width, dtype=dtype, seed=seed, strided=True).to(device)


def check(operator: Any, arguments: tuple, *wanted: Tensor, dtype: torch.dtype) -> None:
    """Launch and ATen body agree, and with the first results wanted; the fake body knows dtypes, shapes and strides."""
    got, aten = (results(body(*arguments)) for body in (BODIES[operator], operator.aten))
    fake = results(operator(*(a.to("meta") if isinstance(a, Tensor) else a for a in arguments)))
    assert [layout(t) for t in got] == [layout(t) for t in fake]
    assert [(t.dtype, t.shape) for t in got] == [(t.dtype, t.shape) for t in aten]
    for one, other in [*zip(got, aten, strict=True), *zip(got, wanted, strict=False)]:
        assert_close(one, other, dtype, factor=2.0)
    if got[0].is_cuda:  # the interpreter runs programs one after another
        again = results(BODIES[operator](*arguments))
        assert all(torch.equal(one, other) for one, other in zip(got, again, strict=True)), "not deterministic"


def layout(x: Tensor) -> tuple:
    return x.dtype, x.shape, [stride for stride, size in zip(x.stride(), x.shape, strict=True) if size > 1]
