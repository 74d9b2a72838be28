"""Distances between N x N similarity matrices from d x d Gram matrices, never building N x N.

With A of shape (N, d_s) and B of shape (N, d_t),
|A A' - B B'|^2 = |A' A|^2 + |B' B|^2 - 2 |A' B|^2, in O(N (d_s^2 + d_t^2 + d_s d_t)) time and O(d^2) memory.
The value is a small difference of large numbers, hence Gram matrices are summed in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from graphkd.kernels.checks import check_matrices, check_rows, check_vectors
from graphkd.kernels.operators import accumulation_dtype, operator, row_blocks

_ROWS = 1 << 12  # cast to float64 at a time; blocks beyond 32 MB would be mapped anew by the system each time
_BLOCK = 1 << 11  # multiplied in float32
_NARROW = 1 << 6  # columns whose products are not worth halving
_DOUBT = 1e-2  # share of |A A'|^2 + |B B'|^2 below which a distance needs float64


def gram(a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
    """Weighted inner products of columns, A' diag(weight) B: (N, p), (N, q), (N,) -> (p, q) in float64."""
    check_rows(a=a, b=b)
    if weight is None:
        weight = a.new_ones(()).expand(a.size(0))
    check_vectors(a.size(0), weight=weight)
    return _gram(a, b, weight)


def gram_reference(a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
    """``gram`` as one float64 product."""
    wide = a.double() if weight is None else a.double() * weight.double()[:, None]
    return wide.t() @ b.double()


class Grams(NamedTuple):
    """The Gram matrices A' A, B' B and A' B of two sets of rows, float64."""

    aa: Tensor
    bb: Tensor
    ab: Tensor


def grams(a: Tensor, b: Tensor, a_scale: Tensor | None = None, b_scale: Tensor | None = None) -> Grams:
    """All three Gram matrices of rows scaled by (N,) factors, in one pass: (N, p), (N, q) -> (p, p), (q, q), (p, q).

    Float32 rows are multiplied in float32 within blocks and summed in float64. Where the distance |A A' - B B'| is then
    below a tenth of either norm, and so inaccurate, everything is computed in float64. Not twice differentiable.
    """
    check_rows(a=a, b=b)
    scales = [
        scale if scale is not None else x.new_ones(()).expand(x.size(0)) for x, scale in ((a, a_scale), (b, b_scale))
    ]
    check_vectors(a.size(0), a_scale=scales[0], b_scale=scales[1])
    return Grams(*_grams(a, b, *scales))


def gram_distance(aa: Tensor, bb: Tensor, ab: Tensor) -> Tensor:
    """Squared Frobenius distance |A A' - B B'|^2 from the three Gram matrices A' A, B' B and A' B; scalar, >= 0."""
    return (aa.square().sum() + bb.square().sum() - 2 * ab.square().sum()).clamp_min(0)


def row_forms(a: Tensor, form: Tensor, b: Tensor) -> Tensor:
    """The bilinear form of every row, a_i' M b_i: (N, p), (p, q), (N, q) -> (N,) in float64; blocks of rows."""
    check_rows(a=a, b=b)
    if form.shape != (a.size(1), b.size(1)):
        raise ValueError(f"'form' must have shape {(a.size(1), b.size(1))}, got {tuple(form.shape)}")
    return _row_forms(a, form, b)


def row_forms_reference(a: Tensor, form: Tensor, b: Tensor) -> Tensor:
    """``row_forms`` as one float64 product."""
    return ((a.double() @ form.double()) * b.double()).sum(dim=1)


def polynomial_features(x: Tensor, offset: float = 0.0) -> Tensor:
    """Rows whose inner products are (x_i . x_j + offset)^2: (N, d) -> (N, d (d + 1) / 2); an offset adds d + 1 columns.

    In float32 at least: squares of numbers from 256 on overflow float16.
    """
    check_matrices(x=x)
    x = x.to(accumulation_dtype(x))
    rows, columns = torch.triu_indices(x.size(1), x.size(1), device=x.device)
    factor = x.new_ones(rows.shape).masked_fill(rows != columns, 2**0.5)
    features = x[:, rows] * x[:, columns] * factor
    if offset == 0:
        return features
    return torch.cat([features, x * (2 * offset) ** 0.5, x.new_full((x.size(0), 1), offset)], dim=1)


@operator("grams")
def _grams(a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    parts = a, b, a_scale, b_scale
    if a.dtype == torch.float64:
        return _gram_blocks(*parts, torch.float64, _ROWS)
    found = _gram_blocks(*parts, torch.float32, _BLOCK)
    if gram_distance(*found) < _DOUBT * (found[0].square().sum() + found[1].square().sum()):
        found = _gram_blocks(*parts, torch.float64, _ROWS)
    return found


def _gram_blocks(
    a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor, wide: torch.dtype, step: int
) -> tuple[Tensor, Tensor, Tensor]:
    p, q = a.size(1), b.size(1)
    aa, bb, ab = (torch.zeros(shape, dtype=torch.float64, device=a.device) for shape in ((p, p), (q, q), (p, q)))
    for rows in _blocks(a if p > q else b, step):
        one, other = a[rows].to(wide) * a_scale[rows, None].to(wide), b[rows].to(wide) * b_scale[rows, None].to(wide)
        aa += _own_products(one, step)
        bb += _own_products(other, step)
        ab += _summed_products(one, other, step)
    return aa, bb, ab


def _blocks(x: Tensor, rows: int) -> Iterator[slice]:
    """Slices of ``rows`` rows; on a GPU of as many as fill it."""
    return row_blocks(x.size(0), x.size(1), rows * max(x.size(1), 1), x.device)


def _summed_products(x: Tensor, y: Tensor, rows: int) -> Tensor:
    """X' Y, multiplied ``rows`` rows at a time and summed in float64."""
    if x.size(0) <= rows:
        return (x.t() @ y).double()
    whole = x.size(0) // rows * rows
    one, other = (side[:whole].unflatten(0, (-1, rows)) for side in (x, y))
    return torch.bmm(one.mT, other).sum(dim=0, dtype=torch.float64) + x[whole:].t() @ y[whole:]


def _own_products(x: Tensor, rows: int) -> Tensor:
    """X' X, multiplied ``rows`` rows at a time and summed in float64; on a CPU from little more than its upper half."""
    if x.device.type != "cpu" or x.size(0) > rows:
        return _summed_products(x, x, rows)
    found = torch.zeros(x.size(1), x.size(1), dtype=x.dtype)
    _fill_upper(x, found)
    upper = found.triu(1).double()
    return (upper + upper.t()).diagonal_scatter(found.diagonal().double())


def _fill_upper(x: Tensor, found: Tensor) -> None:
    """Fill the upper half of X' X: its upper right quarter by a product, the quarters on its diagonal recursively."""
    half = x.size(1) // 2
    if half < _NARROW:
        torch.mm(x.t(), x, out=found)
        return
    torch.mm(x[:, :half].t(), x[:, half:], out=found[:half, half:])
    _fill_upper(x[:, :half], found[:half, :half])
    _fill_upper(x[:, half:], found[half:, half:])


@_grams.register_fake
def _(a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    p, q = a.size(1), b.size(1)
    aa, bb, ab = (a.new_empty(shape, dtype=torch.float64) for shape in ((p, p), (q, q), (p, q)))
    return aa, bb, ab


@operator("grams_backward")
def _grams_pull(
    x: Tensor, y: Tensor, x_scale: Tensor, y_scale: Tensor, xx: Tensor, xy: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the gradients of x and its scale from those of X' X and X' Y."""
    wide = accumulation_dtype(x)
    same, cross = (xx + xx.t()).to(wide), xy.t().to(wide)
    of_x, of_scale = (torch.empty_like(t, memory_format=torch.contiguous_format) for t in (x, x_scale))
    for rows in _blocks(x, _ROWS):
        one = x[rows].to(wide)
        pull = (one * x_scale[rows, None]) @ same
        pull += (y[rows].to(wide) @ cross) * y_scale[rows, None]
        of_scale[rows] = (pull * one).sum(dim=1).to(x_scale.dtype)
        of_x[rows] = (pull * x_scale[rows, None]).to(x.dtype)
    return of_x, of_scale


@_grams_pull.register_fake
def _(x: Tensor, y: Tensor, x_scale: Tensor, y_scale: Tensor, xx: Tensor, xy: Tensor) -> tuple[Tensor, Tensor]:
    of_x, of_scale = (torch.empty_like(t, memory_format=torch.contiguous_format) for t in (x, x_scale))
    return of_x, of_scale


def _grams_backward(ctx: Any, aa: Tensor, bb: Tensor, ab: Tensor) -> tuple:
    a, b, a_scale, b_scale = ctx.saved_tensors
    of_a = of_b = (None, None)
    if ctx.needs_input_grad[0] or ctx.needs_input_grad[2]:
        of_a = _grams_pull(a, b, a_scale, b_scale, aa, ab)
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[3]:
        of_b = _grams_pull(b, a, b_scale, a_scale, bb, ab.t())
    return of_a[0], of_b[0], of_a[1], of_b[1]


@operator("gram")
def _gram(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    total = torch.zeros(a.size(1), b.size(1), dtype=torch.float64, device=a.device)
    for rows in _blocks(a, _ROWS):
        total.addmm_((a[rows].double() * weight[rows].double()[:, None]).t(), b[rows].double())
    return total


@_gram.register_fake
def _(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    return a.new_empty(a.size(1), b.size(1), dtype=torch.float64)


def _gram_setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gram_backward(ctx: Any, grad: Tensor) -> tuple:
    a, b, weight = ctx.saved_tensors
    grad_a = grad_b = grad_weight = None
    if ctx.needs_input_grad[0]:
        grad_a = _scaled_product(weight, b, grad.t())
    if ctx.needs_input_grad[1]:
        grad_b = _scaled_product(weight, a, grad)
    if ctx.needs_input_grad[2]:
        grad_weight = row_forms(a, grad, b).to(weight.dtype)
    return grad_a, grad_b, grad_weight


def _scaled_product(scale: Tensor, x: Tensor, matrix: Tensor) -> Tensor:
    """diag(scale) X M: (N,), (N, p), (p, q) -> (N, q), in blocks of rows."""
    wide = accumulation_dtype(x)
    scale, matrix = scale.to(wide), matrix.to(wide)
    found = x.new_empty(x.size(0), matrix.size(1))
    for rows in _blocks(x, _ROWS):
        found[rows] = (x[rows].to(wide) @ matrix) * scale[rows, None]
    return found


_gram.register_autograd(_gram_backward, setup_context=_gram_setup)
_grams.register_autograd(_grams_backward, setup_context=_gram_setup)


@operator("row_forms")
def _row_forms(a: Tensor, form: Tensor, b: Tensor) -> Tensor:
    found = torch.empty(a.size(0), dtype=torch.float64, device=a.device)
    for rows in _blocks(a, _ROWS):
        found[rows] = ((a[rows].double() @ form.double()) * b[rows].double()).sum(dim=1)
    return found


@_row_forms.register_fake
def _(a: Tensor, form: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.size(0), dtype=torch.float64)


def _row_forms_backward(ctx: Any, grad: Tensor) -> tuple:
    a, form, b = ctx.saved_tensors
    grad_a = grad_form = grad_b = None
    if ctx.needs_input_grad[0]:
        grad_a = _scaled_product(grad, b, form.t())
    if ctx.needs_input_grad[1]:
        grad_form = gram(a, b, grad).to(form.dtype)
    if ctx.needs_input_grad[2]:
        grad_b = _scaled_product(grad, a, form)
    return grad_a, grad_form, grad_b


_row_forms.register_autograd(_row_forms_backward, setup_context=_gram_setup)
