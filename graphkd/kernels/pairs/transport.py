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
    """Compute the least cost of coupling K distributions, row by row: (K, N, C), (C, ..., C) in K dimensions -> (N,).

    min <cost, g> over g >= 0 of the shape of ``cost`` with these marginals, which are divided by their sums; for K = 2
    the earth mover's distance. The gradient is the dual solution, a subgradient where several are optimal. A row with
    a distribution of zeros costs 0, with gradient 0. HiGHS solves a linear program of C^K unknowns for every row, on
    the CPU in float64: milliseconds each for C^K of some hundreds. Raises ValueError for marginals that are negative
    or not finite, and for a cost that is not finite, of another shape or of more than 65,536 cells.
    """
    if marginals.dim() != 3 or marginals.size(2) == 0:
        raise ValueError(f"'marginals' must have shape (K, N, C) with a class at least, got {tuple(marginals.shape)}")
    kinds, _, classes = marginals.shape
    if cost.shape != (classes,) * kinds:
        raise ValueError(f"'cost' must have shape {(classes,) * kinds}, got {tuple(cost.shape)}")
    if cost.numel() > _MOST_CELLS:
        raise ValueError(f"'cost' must have at most {_MOST_CELLS} cells, got {classes}^{kinds}")
    if not torch.compiler.is_compiling():
        _check_entries(marginals, cost)
    wide = marginals.double()
    total = wide.sum(dim=2, keepdim=True)
    share = wide / torch.where((total > 0).all(dim=0), total, torch.inf)
    values: Tensor = _transport(share, cost.detach())[0]
    return values.to(accumulation_dtype(marginals))


def _check_entries(marginals: Tensor, cost: Tensor) -> None:
    wrong = int((~((marginals >= 0) & marginals.isfinite())).sum())
    if wrong:
        raise ValueError(
            f"'marginals' must be finite and at least 0, got {wrong} of {marginals.numel()} that are not: give "
            "probabilities, not logits"
        )
    if not bool(cost.isfinite().all()):
        raise ValueError(f"'cost' must be finite, {int((~cost.isfinite()).sum())} of {cost.numel()} entries are not")


@operator("transport")
def _transport(marginals: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the costs (N,), and their gradients with respect to the marginals (K, N, C)."""
    kinds, rows, classes = marginals.shape
    values, slope = np.zeros(rows), np.zeros((rows, kinds * classes))
    wanted = marginals.detach().cpu().movedim(0, 1).reshape(rows, kinds * classes).numpy()
    # Row k C + c of the constraints sums the cells whose k-th index is c. For all but the first distribution one sum
    # follows from the others and is left out.
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
