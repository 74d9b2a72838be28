"""Models with lazy layers, whose widths are set by the first batch that they see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from graphkd.core.modes import evaluating


def lacks_shapes(model: nn.Module) -> bool:
    """Tell whether a model has parameters or buffers without a shape yet."""
    return any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers()))


@torch.no_grad()
def give_shapes(model: nn.Module, ask: Callable[[], Any]) -> None:
    """Set the widths of a model's lazy layers by calling it once; a model without such layers is not called."""
    if lacks_shapes(model):
        with evaluating(model):
            ask()
