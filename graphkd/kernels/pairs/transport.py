"""Optimal transport between a few distributions of every row: linear programs, solved exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import linprog
from scipy.sparse import coo_array
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype, operator

_MOST_CELLS = 1 << 16  # of a coupling; a program of so many unknowns takes seconds, and there is one a row


def transport(marginals: Tensor, cost: Tensor) -> Tensor:
    """Least cost of a coupling of K distributions, for every row: (K, N, C), (C, ..., C) with K dimensions -> (N,).

    min <cost, g> over g >= 0 of the shape of ``cost`` with these marginals, which are divided by their sums; for K = 2
    the earth mover's distance. The gradient is the dual solution, a subgradient where several are optimal. A linear
    program of C^K unknowns for every row, on the CPU in float64 by HiGHS: milliseconds each for C^K of some hundreds.
    Raises ValueError for a cost of another shape or of more than 65,536 cells.
    """
    kinds, _, classes = marginals.shape
    if cost.shape != (classes,) * kinds:
        raise ValueError(f"'cost' must have shape {(classes,) * kinds}, got {tuple(cost.shape)}")
    if cost.numel() > _MOST_CELLS:
        raise ValueError(f"a coupling must have at most {_MOST_CELLS} cells, got {classes}^{kinds}")
    wide = marginals.double()
    values: Tensor = _transport(wide / wide.sum(dim=2, keepdim=True), cost.detach())[0]
    return values.to(accumulation_dtype(marginals))


@operator("transport")
def _transport(marginals: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
    """The costs (N,), and their gradients with respect to the marginals (K, N, C)."""
    kinds, rows, classes = marginals.shape
    values, slope = np.zeros(rows), np.zeros((rows, kinds * classes))
    wanted = marginals.detach().cpu().movedim(0, 1).reshape(rows, -1).numpy()
    # Row k C + c of the constraints sums the cells whose k-th index is c; a sum that follows from the others is left
    # out for all but the first distribution.
    cells = np.indices((classes,) * kinds).reshape(kinds, -1)
    constraint = (cells + classes * np.arange(kinds)[:, None]).ravel()
    entries = np.ones(constraint.size), (constraint, np.tile(np.arange(cells.shape[1]), kinds))
    kept = np.flatnonzero((np.arange(kinds * classes) % classes != 0) | (np.arange(kinds * classes) == 0))
    matrix = coo_array(entries, shape=(kinds * classes, cells.shape[1])).tocsr()[kept]
    objective = cost.detach().double().cpu().reshape(-1).numpy()
    for row in range(rows):
        found = linprog(objective, A_eq=matrix, b_eq=wanted[row, kept], method="highs")
        if found.status != 0:
            raise RuntimeError(f"the transport of row {row} was not solved: {found.message}")
        values[row], slope[row, kept] = found.fun, found.eqlin.marginals
    potentials = torch.from_numpy(slope).view(rows, kinds, classes).movedim(1, 0).contiguous()
    return torch.from_numpy(values).to(marginals.device), potentials.to(marginals.device)


@_transport.register_fake
def _(marginals: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
    return marginals.new_empty(marginals.size(1)), torch.empty_like(marginals, memory_format=torch.contiguous_format)


def _setup(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1])


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple:
    (slope,) = ctx.saved_tensors
    return grad[:, None] * slope, None


_transport.register_autograd(_backward, setup_context=_setup)
