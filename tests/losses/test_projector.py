"""The linear layers of losses: in float32 at least, and they say which side is of another width."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graphkd.losses._projector import Linear, projector


def test_it_is_a_linear_layer():
    torch.manual_seed(0)
    layer, x = Linear(3, 2), torch.randn(4, 3)
    plain = nn.Linear(3, 2)
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x), plain(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_multiplied_in_float32(dtype):
    """A small row beside a bias of ordinary size is not lost."""
    torch.manual_seed(0)
    layer = Linear(3, 2).to(dtype)
    x = (1e-4 * torch.randn(4, 3)).to(dtype)
    assert layer(x).dtype == torch.float32
    assert torch.equal(layer(x), layer.float()(x.float()))


def test_a_wider_side_decides():
    assert Linear(3, 2)(torch.randn(4, 3, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("side", ["student", "teacher"])
def test_another_width_is_refused_by_name(side):
    with pytest.raises(
        ValueError, match=rf"'{side}' must be as wide as this loss was made for, 3, got shape \(4, 5\): "
    ):
        Linear(3, 2, side=side)(torch.randn(4, 5))


def test_no_widths_no_layer():
    assert isinstance(projector(None, None), nn.Identity)
    with pytest.raises(ValueError, match="give both widths or none, got 3 and None"):
        projector(3, None)
