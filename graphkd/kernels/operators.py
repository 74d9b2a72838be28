"""Shared code of all operators: their registration, and the dtype they sum in."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

GPU_ELEMENTS = 1 << 24  # 64 MB in float32
CHUNK_ELEMENTS = 1 << 22  # of a gathered (pairs, d) block: 16 MB in float32
CLOSE = 1e-2  # below this share of |x_i|^2 + |x_j|^2 a squared distance is recomputed from the difference


def operator(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Register a function as ``graphkd::name``; autocast is disabled inside its body."""

    def register(body: Callable[..., Any]) -> Any:
        @functools.wraps(body)
        def exact(tensor: Tensor, *others: Any) -> Any:
            with torch.autocast(tensor.device.type, enabled=False):
                return body(tensor, *others)

        registered = torch.library.custom_op(f"graphkd::{name}", exact, mutates_args=())
        registered.aten = exact  # type: ignore[attr-defined]
        return registered

    return register


def register_cuda(operator: Any, launch: Callable[..., Any]) -> None:
    """Make ``launch`` the body of an operator for CUDA tensors; float64 tensors keep the ATen body."""

    @functools.wraps(operator.aten)
    def body(*arguments: Any) -> Any:
        if any(isinstance(argument, Tensor) and argument.dtype == torch.float64 for argument in arguments):
            return operator.aten(*arguments)
        with torch.autocast("cuda", enabled=False):
            return launch(*arguments)

    operator.register_kernel("cuda")(body)


def accumulation_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype in which a kernel sums, and returns values per edge, node or graph: float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)


def row_blocks(rows: int, width: int, elements: int, device: torch.device, least: int = 1) -> Iterator[slice]:
    """Cut ``rows`` rows into slices of about ``elements`` entries at ``width`` entries a row; at least ``least`` rows.

    On a GPU at least ``GPU_ELEMENTS`` entries: smaller blocks finish before the next ones are launched.
    """
    elements = elements if device.type == "cpu" else max(elements, GPU_ELEMENTS)
    step = max(1, min(rows, max(elements // max(width, 1), least)))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def register_symmetric(value: Any, pull: Any) -> None:
    """Register the gradient of an operator of (student, teacher, *options) -> scalar that is symmetric in both.

    ``pull``, of the same arguments, is the gradient with respect to the first.
    """

    def setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.options = inputs[2:]

    def backward(ctx: Any, grad: Tensor) -> tuple:
        student, teacher = ctx.saved_tensors
        sides = (student, teacher), (teacher, student)
        pulls = [
            grad * pull(*side, *ctx.options) if needed else None
            for side, needed in zip(sides, ctx.needs_input_grad[:2], strict=True)
        ]
        return *pulls, *(None for _ in ctx.options)

    value.register_autograd(backward, setup_context=setup)


def wants_gradient(x: Tensor) -> bool:
    """Tell whether the gradient of a tensor may be requested."""
    return torch.is_grad_enabled() and x.requires_grad


@operator("known_gradient_backward")
def _known_gradient(grad: Tensor, pull: Tensor, x: Tensor) -> Tensor:
    """Scale a known gradient; the argument ``x`` makes a second derivative raise instead of being 0."""
    return (grad * pull).to(x.dtype)


@_known_gradient.register_fake
def _(grad: Tensor, pull: Tensor, x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _are_tensors(argument: Any) -> bool:
    return isinstance(argument, list | tuple) and all(isinstance(part, Tensor) for part in argument)


def register_known_gradient(operator: Any) -> None:
    """Register the gradient of an operator of (x, *others) -> (scalar, its gradient with respect to x)."""

    def setup(ctx: Any, inputs: tuple, output: tuple) -> None:
        ctx.save_for_backward(inputs[0], output[1])
        ctx.others = [[None] * len(other) if _are_tensors(other) else None for other in inputs[1:]]
        ctx.mark_non_differentiable(output[1])

    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple:
        x, pull = ctx.saved_tensors
        return _known_gradient(grad, pull, x), *ctx.others

    operator.register_autograd(backward, setup_context=setup)
