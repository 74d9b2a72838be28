"""Batch norm of layers of losses: torch's, but for batches that have no statistics."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graphkd.losses._batch_norm import BatchNorm


def pair():
    """Torch's and ours, of the same weights."""
    torch.manual_seed(0)
    plain, ours = nn.BatchNorm1d(3), BatchNorm(3)
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.bias)
    ours.load_state_dict(plain.state_dict())
    return plain, ours


def test_it_is_batch_norm():
    """Value, gradient and what it remembers, while training and afterwards."""
    plain, ours = pair()
    for _ in range(3):
        x = torch.randn(5, 3)
        found = []
        for norm in (plain, ours):
            leaf = x.clone().requires_grad_()
            value = norm(leaf)
            found.append((value, *torch.autograd.grad((value * x.cos()).sum(), (leaf, norm.weight, norm.bias))))
        for want, got in zip(*found, strict=True):
            torch.testing.assert_close(got, want)
    for want, got in zip(plain.state_dict().values(), ours.state_dict().values(), strict=True):
        assert torch.equal(want, got)
    assert torch.equal(ours.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("rows", [0, 1])
def test_a_batch_without_statistics_is_normalised_by_the_running_ones(rows):
    plain, ours = pair()
    for norm in (plain, ours):
        norm(torch.randn(5, 3))
    before, x = {name: value.clone() for name, value in ours.state_dict().items()}, torch.randn(rows, 3)
    got = ours(x)
    assert torch.equal(got, ours.eval()(x))
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("value", [0.1, 1e3, -7.7])
def test_a_constant_channel_gives_its_bias(value):
    _, ours = pair()
    x = torch.randn(7, 3)
    x[:, 1] = value
    x.requires_grad_()
    found = ours(x)
    assert torch.equal(found[:, 1], ours.bias[1].expand(7))
    found.square().sum().backward()
    assert not x.grad[:, 1].any()
    assert x.grad[:, 0].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_normalised_in_float32(dtype):
    _, ours = pair()
    ours.to(dtype)
    x = (100 * torch.randn(6, 3)).to(dtype)
    found = ours(x)
    _, wide = pair()
    wide.load_state_dict(pair()[1].to(dtype).state_dict())
    want = wide(x.float())
    assert found.dtype == torch.float32
    assert torch.equal(found, want)
    assert torch.equal(ours.running_mean, wide.running_mean.to(dtype))
    assert torch.equal(ours.running_var, wide.running_var.to(dtype))
    assert int(ours.num_batches_tracked) == 1
