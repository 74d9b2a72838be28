"""Checks and squared errors of real-valued outputs."""

from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import beside, check_same_shape


def check_outputs(student: Tensor, teacher: Tensor, y: Tensor) -> None:
    """Require student, teacher and targets of one shape."""
    check_same_shape(student, teacher)
    check_targets(student, y)


def check_targets(student: Tensor, y: Tensor) -> None:
    """Require targets of the outputs' shape."""
    if beside(y, student).shape != student.shape:
        raise ValueError(f"'y' must have the shape of the outputs, {tuple(student.shape)}, got {tuple(y.shape)}")


def squared_errors(output: Tensor, y: Tensor, scale: Tensor | None = None) -> Tensor:
    """Squared distance of every row from its target: (N, k), (N, k) -> (N,), in float32 at least.

    scale: the unit of each of the k numbers, (k,).
    """
    check_targets(output, y)
    wide = accumulation_dtype(output)
    gaps = output.to(wide) - beside(y, output).to(wide)
    return (gaps if scale is None else gaps / scale.to(gaps)).square().sum(dim=-1)


def row_mean(rows: Tensor) -> Tensor:
    """Average over rows; 0 where there are none."""
    return rows.sum() / max(rows.numel(), 1)
