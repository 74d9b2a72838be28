"""Shared code of autograd functions that are no custom operators."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def differentiable_once(backward: Callable[..., tuple]) -> Callable[..., tuple]:
    """Decorate the ``backward`` of an autograd function: it runs without a graph, and a second derivative is refused.

    torch's ``once_differentiable`` checks incoming gradients alone. Outgoing gradients also depend on the function's
    inputs, so the saved tensors must include these.
    """

    @functools.wraps(backward)
    def once(ctx: Any, *grads: Tensor) -> tuple:
        with torch.no_grad():
            found = backward(ctx, *grads)
        if not torch.is_grad_enabled():
            return found
        origins = [each for each in (*ctx.saved_tensors, *grads) if each is not None and each.requires_grad]
        refused: Callable[..., Tensor] = _Refusal.apply
        return tuple(each if each is None else refused(each, *origins) for each in found)

    return once


class _Refusal(torch.autograd.Function):
    """Pass a gradient on unchanged, as a function of its origins whose own derivative raises RuntimeError."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *origins: Tensor) -> Tensor:  # noqa: ARG004 - torch gives both
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:  # noqa: ARG004
        raise RuntimeError("this function has no second derivative: compute its gradient without create_graph=True")
