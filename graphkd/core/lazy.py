"""Models with lazy layers, which learn their widths from the first batch that they see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from graphkd.core.modes import evaluating


def lacks_shapes(model: nn.Module) -> bool:
    """Whether a model has parameters or buffers without a shape yet."""
    return any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers()))


@torch.no_grad()
def give_shapes(model: nn.Module, ask: Callable[[], Any]) -> None:
    """Let a model learn the widths of its lazy layers, by asking it once; one without such layers is not asked."""
    if lacks_shapes(model):
        with evaluating(model):
            ask()
