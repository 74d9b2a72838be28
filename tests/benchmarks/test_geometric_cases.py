"""The benchmark of the graph family's relation losses compares forms of one value."""

from __future__ import annotations

import pytest
import torch

from benchmarks.cases import geometric
from benchmarks.cases.common import Size
from benchmarks.cases.geometric import OPS


@pytest.mark.parametrize("op", OPS)
def test_plain_forms_agree(op, monkeypatch):
    """In value and gradient, on few nodes."""
    monkeypatch.setattr(geometric, "_CLASSES", 3)
    torch.manual_seed(0)
    case = OPS[op][0](Size(12, 0, 6, 8), torch.device("cpu"))
    values = [provider.forward() for provider in case.providers.values()]
    gradients = [torch.autograd.grad(value, case.leaves)[0] for value in values]
    for value, gradient in zip(values, gradients, strict=True):
        torch.testing.assert_close(value, values[0], rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-3, atol=1e-5)


def test_every_op_has_sizes():
    for _, small, large in OPS.values():
        assert small
        assert all(size.student for size in small + large)
