"""Shared code of the Triton kernels: launches, block sizes, precision, and the list of what to compile.

A launch function has the signature of its operator's body and gets float32, float16 or bfloat16 tensors of any strides
(float64 never comes: the registration in ``__init__`` sends it to the ATen body). It allocates its results and runs
kernels with ``launch``. Kernels load in the dtype of the tensor, compute in float32, and index rows in 64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

DTYPES = ("fp32", "fp16", "bf16")  # of features and scores; Triton's names


class Compiled(NamedTuple):
    """One specialisation of a kernel for ``python -m benchmarks.compile_kernels``.

    types: Triton types of the arguments that are not constexpr, in order and separated by spaces: "*fp32 *i32 i32";
    "i32:16" is an integer known to be a multiple of 16, which the launcher detects. Pointers count as aligned.
    constants: the constexpr arguments by name. warps, stages: as the launch function passes them.
    """

    kernel: Any
    types: str
    constants: Mapping[str, Any]
    warps: int = 4
    stages: int = 2


def each_dtype(
    kernel: Any, types: str, constants: Mapping[str, Any], warps: int = 4, stages: int = 2
) -> list[Compiled]:
    """Make a ``Compiled`` for every dtype of ``DTYPES``, which replaces ``?`` in the types."""
    return [Compiled(kernel, types.replace("?", dtype), constants, warps, stages) for dtype in DTYPES]


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """Run a kernel over a grid on the device of its first argument, a tensor; an empty grid runs nothing.

    Of the constants, ``warps`` (default 4) and ``stages`` (2) go to the launcher. Only the first dimension of a grid
    may exceed 65,535.
    """
    if 0 in grid:
        return
    # Fuse products with sums; Triton warns where a launch does not say so.
    options = {"num_warps": constants.pop("warps", 4), "num_stages": constants.pop("stages", 2)}
    device = arguments[0].device
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        kernel[grid](*arguments, **constants, **options, enable_fp_fusion=True)


def block_size(entries: int, largest: int, smallest: int = 16) -> int:
    """Return the power of two that covers ``entries``, from ``smallest`` (16: ``tl.dot``'s least) to ``largest``."""
    return max(smallest, min(largest, triton.next_power_of_2(max(entries, 1))))


def dot_precision(*factors: Tensor) -> str:
    """``input_precision`` of a ``tl.dot``: float32 keeps its digits (three TF32 products), unless torch allows TF32."""
    narrow = all(factor.dtype != torch.float32 for factor in factors)
    return "tf32" if narrow or torch.backends.cuda.matmul.allow_tf32 else "tf32x3"
