"""A mixture of small networks, in three forms, for many, some or about one relevant network a row.

All give sum_m z_m (W2_m relu(W1_m x + b1_m) + b2_m): x (n, d_s), z (n, M), w1 (M, h, d_s), b1 (M, h), w2 (M, d_t, h),
b2 (M, d_t) -> (n, d_t).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.kernels.functions import differentiable_once
from graphkd.kernels.operators import row_blocks

_MOST = 0.4  # share of all pairs of row and expert above which all pairs are computed
_ROWS = 256  # rows for which the hidden layers of all experts exist at a time
_BLOCK = 32  # pairs in a block, where there are few
_WEIGHTS = 2**19  # entries of the blocks' weights, one copy each; beyond this, copies cost more than they save
_relu_backward = torch.ops.aten.threshold_backward


def routed(x: Tensor, z: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Run each expert on the rows whose share z_m exceeds float rounding; these are P pairs of row and expert in all.

    O(P h (d_s + d_t)); P is n M for soft routing and n for one-hot routing. Smaller shares add nothing and get no
    gradient. Where many pairs count, ``mixture`` is used, which is faster.
    """
    share = z.detach() > torch.finfo(z.dtype).eps
    counts = share.sum(dim=0)
    pairs = int(counts.sum())
    if pairs >= _MOST * share.numel():
        return mixture(x, z, w1, b1, w2, b2)
    expert, row = share.t().nonzero(as_tuple=True)  # the pairs, expert by expert
    if (pairs // _BLOCK + z.size(1)) * (w1[0].numel() + w2[0].numel()) <= _WEIGHTS:
        return _in_blocks(x, z, w1, b1, w2, b2, expert, row, counts)
    outputs = [
        F.linear(F.linear(part, *first).relu(), *second)
        for part, first, second in zip(
            x.index_select(0, row).split(counts.tolist()),
            zip(w1, b1, strict=True),
            zip(w2, b2, strict=True),
            strict=True,
        )
        if len(part)
    ]
    weighted = torch.cat(outputs) * z[row, expert, None]
    return weighted.new_zeros(x.size(0), weighted.size(1)).index_add(0, row, weighted)


# ---------------------------------------------------------------- all pairs
def mixture(x: Tensor, z: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Run all experts on all rows: O(n M h (d_s + d_t)) time, O(n (M + d_t)) memory beside some rows' hidden layers."""
    with torch.autocast(x.device.type, enabled=False):
        out: Tensor = _Mixture.apply(x.to(w1.dtype), z.to(w1.dtype), w1, b1, w2, b2)  # type: ignore[no-untyped-call]
    return out


def mixture_reference(x: Tensor, z: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Compute ``mixture`` by two products, with all hidden layers stored."""
    hidden = F.linear(x, w1.flatten(0, 1), b1.flatten()).relu().unflatten(1, b1.shape)
    return (hidden * z[:, :, None]).flatten(1) @ w2.transpose(1, 2).flatten(0, 1) + z @ b2


class _Mixture(torch.autograd.Function):
    """Compute the mixture a few rows at a time; hidden layers are recomputed for the gradient.

    Everything is transposed, features by rows of the batch. Shares are then contiguous in memory, and narrow products
    have few rows instead of few columns, which takes a fifth of the time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, z: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        ctx.save_for_backward(x, z, w1, b1, w2, b2)
        first, second = _with_biases(w1, b1).flatten(0, 1), w2.transpose(0, 1).flatten(1)
        inputs, shares = _with_ones(x).t().contiguous(), z.t().contiguous()
        out = torch.mm(b2.t(), shares)
        for rows, hidden in _hidden_layers(first, inputs):
            out[:, rows].addmm_(second, _scaled(hidden, shares[:, rows]))
        return out.t()

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, z, w1, b1, w2, b2 = ctx.saved_tensors
        grad, pulls = grad.contiguous(), grad.t().contiguous()
        first, second = _with_biases(w1, b1).flatten(0, 1), w2.transpose(1, 2).flatten(0, 1)
        across = w1.flatten(0, 1).t().contiguous()
        inputs, shares = _with_ones(x).t().contiguous(), z.t().contiguous()
        grad_x, grad_z = torch.empty_like(inputs[:-1]), torch.mm(b2, pulls)
        grad_first, grad_second = torch.zeros_like(first.t()), torch.zeros_like(second)
        for rows, hidden in _hidden_layers(first, inputs):
            pull = torch.mm(second, pulls[:, rows])
            grad_z[:, rows] += (hidden * pull).unflatten(0, b1.shape).sum(dim=1)
            _scaled(_relu_backward.grad_input(pull, hidden, 0, grad_input=pull), shares[:, rows])
            grad_second.addmm_(_scaled(hidden, shares[:, rows]), grad[rows])
            grad_first.addmm_(inputs[:, rows], pull.t())
            torch.mm(across, pull, out=grad_x[:, rows])
        grad_w1 = grad_first.t().unflatten(0, b1.shape)
        grad_w2 = grad_second.unflatten(0, b1.shape).transpose(1, 2)
        return grad_x.t(), grad_z.t(), grad_w1[:, :, :-1], grad_w1[:, :, -1], grad_w2, shares @ grad


def _hidden_layers(first: Tensor, inputs: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of rows with the hidden layers of all experts for these rows: (M h, rows)."""
    for rows in row_blocks(inputs.size(1), first.size(0), _ROWS * first.size(0), inputs.device):
        yield rows, torch.mm(first, inputs[:, rows]).relu_()


def _scaled(hidden: Tensor, shares: Tensor) -> Tensor:
    """Multiply hidden layers (M h, rows) by the shares of their experts (M, rows), in place."""
    hidden.view(shares.size(0), -1, shares.size(1)).mul_(shares[:, None])
    return hidden


# ---------------------------------------------------------------- few pairs
def _in_blocks(
    x: Tensor,
    z: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    expert: Tensor,
    row: Tensor,
    counts: Tensor,
) -> Tensor:
    """Compute the pairs of row and expert, ``counts`` for each expert, in blocks of one expert, by batched products."""
    blocks = (counts + _BLOCK - 1) // _BLOCK
    before = (blocks.cumsum(0) - blocks) * _BLOCK - (counts.cumsum(0) - counts)
    slot = torch.arange(row.size(0), device=x.device) + before.index_select(0, expert)
    places = expert, row, slot, torch.repeat_interleave(blocks)
    with torch.autocast(x.device.type, enabled=False):
        out: Tensor = _Blocks.apply(x.to(w1.dtype), z.to(w1.dtype), w1, b1, w2, b2, *places)  # type: ignore[no-untyped-call]
    return out


class _Blocks(torch.autograd.Function):
    """Run experts on full blocks of rows; at most one block of each expert is partly empty."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        z: Tensor,
        w1: Tensor,
        b1: Tensor,
        w2: Tensor,
        b2: Tensor,
        expert: Tensor,
        row: Tensor,
        slot: Tensor,
        owner: Tensor,
    ) -> Tensor:
        pair = row * z.size(1) + expert
        share = z.flatten().index_select(0, pair)[:, None]
        first, second = _with_biases(w1, b1).index_select(0, owner), w2.index_select(0, owner)
        inputs = _spread(_with_ones(x).index_select(0, row), slot, owner.size(0))
        hidden = torch.bmm(inputs, first.mT).relu_()
        out = torch.bmm(hidden, second.mT).flatten(0, 1).index_select(0, slot).add_(b2.index_select(0, expert))
        ctx.save_for_backward(x, z, w1, b1, w2, b2, first, second, inputs, hidden, out, share, pair, row, slot, owner)
        return out.new_zeros(x.size(0), out.size(1)).index_add_(0, row, out * share)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, z, _, _, _, _, first, second, inputs, hidden, out, share, pair, row, slot, owner = ctx.saved_tensors
        grad = grad.index_select(0, row)
        grad_z = z.new_zeros(z.numel()).index_copy_(0, pair, (grad * out).sum(dim=1)).view(z.shape)
        pulls = _spread(grad.mul_(share), slot, owner.size(0))
        pull = _relu_backward(torch.bmm(pulls, second), hidden, 0)
        grad_rows = torch.bmm(pull, first[:, :, :-1]).flatten(0, 1).index_select(0, slot)
        grad_x = torch.zeros_like(x).index_add_(0, row, grad_rows)

        def summed(parts: Tensor) -> Tensor:
            """Sum over the blocks of each expert."""
            return parts.new_zeros(z.size(1), *parts.shape[1:]).index_add_(0, owner, parts)

        grad_first, grad_second = summed(torch.bmm(inputs.mT, pull)), summed(torch.bmm(pulls.mT, hidden))
        grads = grad_first[:, :-1].mT, grad_first[:, -1], grad_second, summed(pulls.sum(dim=1))
        return grad_x, grad_z, *grads, None, None, None, None


def _spread(rows: Tensor, slot: Tensor, blocks: int) -> Tensor:
    """Put rows (P, d) into their slots of blocks, zeros elsewhere: (blocks, size of a block, d)."""
    return rows.new_zeros(blocks * _BLOCK, rows.size(1)).index_copy_(0, slot, rows).unflatten(0, (blocks, _BLOCK))


def _with_biases(weights: Tensor, biases: Tensor) -> Tensor:
    """Append biases as the last column of the weights: (M, h, d), (M, h) -> (M, h, d + 1)."""
    return torch.cat([weights, biases[:, :, None]], dim=2)


def _with_ones(rows: Tensor) -> Tensor:
    """Append a column of ones, by which biases are multiplied."""
    return torch.cat([rows, rows.new_ones(rows.size(0), 1)], dim=1)
