"""Functions of the eigenvalues of a symmetric matrix, differentiable where eigenvalues are equal too."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype, operator

_SMALL = 1e-3  # below it a series is the more exact


def log_quotient(gram: Tensor, ridge: float) -> Tensor:
    """f(K) for f(x) = log(1 + x / ridge) / x of the eigenvalues of a positive semi-definite matrix: (d, d) -> (d, d).

    With K = X' X it gives the logarithm of the N x N matrix X X' + ridge I as log(ridge) I + X f(K) X'. The gradient
    is that of divided differences (Daleckii and Krein), finite for equal eigenvalues, where the gradient of
    ``torch.linalg.eigh`` is not. In float64, since float32 returns 1 for an eigenvalue of 0 beside 1e8. O(d^3). Not
    twice differentiable. Raises ValueError for a matrix that is not square and a ridge that is not positive.
    """
    if gram.dim() != 2 or gram.size(0) != gram.size(1):
        raise ValueError(f"'gram' must be a square matrix, got shape {tuple(gram.shape)}")
    if ridge <= 0:
        raise ValueError(f"'ridge' must be positive, got {ridge}")
    found: Tensor = _log_quotient(gram.double(), ridge)[0]
    return found.to(accumulation_dtype(gram))


def log_quotient_reference(gram: Tensor, ridge: float) -> Tensor:
    """``log_quotient`` as the integral of (ridge I + s K)^-1 over s from 0 to 1, by Gauss and Legendre's quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    eye = ridge * torch.eye(gram.size(0), dtype=gram.dtype, device=gram.device)
    terms = [w / 2 * torch.linalg.inv(eye + (node + 1) / 2 * gram) for node, w in zip(nodes, weights, strict=True)]
    return torch.stack(terms).sum(dim=0)


def _quotient(u: Tensor) -> Tensor:
    """g(u) = log(1 + u) / u, 1 at 0."""
    return torch.where(u == 0, 1.0, u.log1p() / torch.where(u == 0, 1.0, u))


def _divided_differences(u: Tensor) -> Tensor:
    """(g(u_i) - g(u_j)) / (u_i - u_j), g'(u_i) where they are equal: (d,) -> (d, d).

    log(1 + u) = log(1 + v) + log(1 + w) with w = (u - v) / (1 + v) leaves (g(w) / (1 + v) - g(v)) / u, where nothing
    cancels as u - v vanishes.
    """
    high, low = torch.maximum(u[:, None], u), torch.minimum(u[:, None], u)
    exact = (_quotient((high - low) / (1 + low)) / (1 + low) - _quotient(low)) / torch.where(high > 0, high, 1.0)
    second, third = high.square() + high * low + low.square(), (high + low) * (high.square() + low.square())
    return torch.where(high > _SMALL, exact, -1 / 2 + (high + low) / 3 - second / 4 + third / 5)


@operator("log_quotient")
def _log_quotient(gram: Tensor, ridge: float) -> tuple[Tensor, Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(gram)
    values = (values / ridge).clamp_min(0)
    return (vectors * (_quotient(values) / ridge)) @ vectors.t(), values, vectors


@_log_quotient.register_fake
def _(gram: Tensor, ridge: float) -> tuple[Tensor, Tensor, Tensor]:
    return gram.new_empty(gram.shape), gram.new_empty(gram.size(0)), gram.new_empty(gram.t().shape).t()


@operator("log_quotient_backward")
def _log_quotient_pull(grad: Tensor, gram: Tensor, values: Tensor, vectors: Tensor, ridge: float) -> Tensor:
    """Compute the gradient; the argument ``gram`` makes a second derivative raise an error."""
    inner = vectors.t() @ grad @ vectors
    return vectors @ inner.mul_(_divided_differences(values) / ridge**2) @ vectors.t()


@_log_quotient_pull.register_fake
def _(grad: Tensor, gram: Tensor, values: Tensor, vectors: Tensor, ridge: float) -> Tensor:
    return grad.new_empty(grad.shape)


def _setup(ctx: Any, inputs: tuple, output: tuple) -> None:
    gram, ctx.ridge = inputs
    ctx.save_for_backward(gram, *output[1:])
    ctx.mark_non_differentiable(*output[1:])


def _backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple:
    return _log_quotient_pull(grad, *ctx.saved_tensors, ctx.ridge), None


_log_quotient.register_autograd(_backward, setup_context=_setup)
