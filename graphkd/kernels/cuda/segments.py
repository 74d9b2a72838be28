"""Triton bodies of log-softmax over the edges that enter each node, and of divergences between two of them.

Everything is a running sum over a row's edges, which can be split anywhere. With u the scores, m their largest so far,
    s = sum exp(u - m),                                        logsumexp u = m + log s
    KL(t || s):  q = sum t, w = sum t (log t - u + m),         w + q log s
    KL(s || t):  w = sum exp(u - m) (u - m - log t),           w / s - log s
A single edge has (m, s, q, w) = (u, 1, t, t log t), reversed (u, 1, 0, -log t); ``absorb`` adds edges and statistics
of chunks alike. For plain sums m is the sum. No atomics: the same inputs give the same bits.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from graphkd.kernels.cuda.chunks import LENGTH, row_chunks
from graphkd.kernels.cuda.common import Compiled, each_dtype, launch

_ROWS, _EDGES = 64, 16  # of a tile: most nodes have few neighbours
_SLOTS = 16  # combined at a time
BLOCK = 1024  # edges of a program that treats each separately


@triton.jit
def no_statistics(ROWS: tl.constexpr, MODE: tl.constexpr):
    """Return the statistics (m, s, q, w) of rows without edges."""
    nothing = tl.zeros((ROWS,), tl.float32)
    peak = nothing if MODE == "sum" else tl.full((ROWS,), float("-inf"), tl.float32)
    return peak, nothing, nothing, nothing


@triton.jit
def absorb(peak, s, q, w, u, more_s, more_q, more_w, live, MODE: tl.constexpr):
    """Add (R, K) edges or chunks to the statistics of rows (R,); the formulas are at the head of the file."""
    if MODE == "sum":
        high = peak + tl.sum(tl.where(live, u, 0.0), axis=1)
    else:
        high = tl.maximum(peak, tl.max(tl.where(live, u, float("-inf")), axis=1))
        new = tl.where(high == float("-inf"), 0.0, high)  # nothing seen yet
        lift = tl.where(peak == float("-inf"), 0.0, peak - new)
        gap = u - new[:, None]
        share = tl.where(live, tl.exp(gap), 0.0)
        if MODE == "kl":
            w += tl.sum(tl.where(live, more_w - more_q * gap, 0.0), axis=1) - q * lift
            q += tl.sum(tl.where(live, more_q, 0.0), axis=1)
        if MODE == "reverse":
            w = tl.exp(lift) * (w + s * lift) + tl.sum(tl.where(live, share * (more_w + more_s * gap), 0.0), axis=1)
        s = s * tl.exp(lift) + tl.sum(share * more_s, axis=1)
    return high, s, q, w


@triton.jit
def absorb_edges(peak, s, q, w, u, teacher, edge, live, MODE: tl.constexpr):
    """``absorb`` for edges of scores u, with the teacher's log-probabilities as the mode needs them."""
    one = tl.full(u.shape, 1.0, tl.float32)
    more_q, more_w = one, one
    if MODE == "kl" or MODE == "reverse":
        log_t = tl.load(teacher + edge, mask=live, other=0.0).to(tl.float32)
        more_q = tl.exp(log_t)
        more_w = more_q * log_t if MODE == "kl" else -log_t
    return absorb(peak, s, q, w, u, one, more_q, more_w, live, MODE)


@triton.jit
def store_row(norm, value, i, peak, s, q, w, live, MODE: tl.constexpr):
    """``normaliser`` or sum of the rows i, and the divergence where there is one: 0 for a row without edges."""
    if MODE == "sum":
        tl.store(norm + i, peak, mask=live)
    else:
        log_s = tl.log(s)
        tl.store(norm + 2 * i.to(tl.int64), peak, mask=live)
        tl.store(norm + 2 * i.to(tl.int64) + 1, log_s, mask=live)
        if MODE == "kl":
            tl.store(value + i, tl.where(s == 0.0, 0.0, w + q * log_s), mask=live)
        if MODE == "reverse":
            tl.store(value + i, tl.where(s == 0.0, 0.0, w / s - log_s), mask=live)


@triton.jit
def store_chunk(norm, value, partial, i, line, peak, s, q, w, live, MODE: tl.constexpr):
    """Store the statistics of chunks: results for a row of one chunk, partial results in slots for a longer row."""
    store_row(norm, value, i, peak, s, q, w, live & (line < 0), MODE)
    to, several = partial + line.to(tl.int64) * 4, live & (line >= 0)
    tl.store(to, peak, mask=several)
    tl.store(to + 1, s, mask=several)
    tl.store(to + 2, q, mask=several)
    tl.store(to + 3, w, mask=several)


@triton.jit
def statistics_kernel(
    norm, value, partial, scores, teacher, row, start, slot, ptr, chunks,
    MODE: tl.constexpr, LENGTH: tl.constexpr, ROWS: tl.constexpr, EDGES: tl.constexpr,
):  # fmt: skip
    """Compute the statistics of a tile of chunks, from the scores of their edges."""
    chunk = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    exists = chunk < chunks
    i = tl.load(row + chunk, mask=exists, other=0)
    begin = tl.load(start + chunk, mask=exists, other=0)
    end = tl.minimum(begin + LENGTH, tl.load(ptr + i + 1, mask=exists, other=0))
    peak, s, q, w = no_statistics(ROWS, MODE)
    for first in range(0, tl.max(end - begin), EDGES):
        edge = begin[:, None] + first + tl.arange(0, EDGES)[None, :]
        live = edge < end[:, None]
        u = tl.load(scores + edge, mask=live, other=0.0).to(tl.float32)
        peak, s, q, w = absorb_edges(peak, s, q, w, u, teacher, edge, live, MODE)
    line = tl.load(slot + chunk, mask=exists, other=-1)
    store_chunk(norm, value, partial, i, line, peak, s, q, w, exists, MODE)


@triton.jit
def combine_statistics_kernel(norm, value, partial, long_row, long_ptr, MODE: tl.constexpr, SLOTS: tl.constexpr):
    """Combine the statistics of a long row from those of its chunks, in a fixed order."""
    one = tl.arange(0, 1)
    i = tl.load(long_row + tl.program_id(0) + one)
    begin = tl.load(long_ptr + tl.program_id(0))
    end = tl.load(long_ptr + tl.program_id(0) + 1)
    peak, s, q, w = no_statistics(1, MODE)
    for first in range(begin, end, SLOTS):
        line = first + tl.arange(0, SLOTS)[None, :]
        live = line < end
        at = partial + line.to(tl.int64) * 4
        more_peak = tl.load(at, mask=live, other=0.0)
        more_s = tl.load(at + 1, mask=live, other=0.0)
        more_q = tl.load(at + 2, mask=live, other=0.0)
        more_w = tl.load(at + 3, mask=live, other=0.0)
        peak, s, q, w = absorb(peak, s, q, w, more_peak, more_s, more_q, more_w, live, MODE)
    store_row(norm, value, i, peak, s, q, w, one == 0, MODE)


@triton.jit
def normalised(u, norm, i, live):
    """Compute ``log_probabilities`` of edges that enter the rows i."""
    at = norm + 2 * i.to(tl.int64)
    return u - tl.load(at, mask=live, other=0.0) - tl.load(at + 1, mask=live, other=0.0)


@triton.jit
def normalise_kernel(scores, norm, target, out, edges, BLOCK: tl.constexpr):
    """Log-probabilities: u_e less the ``normaliser`` of its target's edges."""
    edge = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = edge < edges
    u = tl.load(scores + edge, mask=live, other=0.0).to(tl.float32)
    tl.store(out + edge, normalised(u, norm, tl.load(target + edge, mask=live, other=0), live), mask=live)


def segment_log_softmax(scores: Tensor, ptr: Tensor, target: Tensor) -> Tensor:
    """``graphkd::segment_log_softmax``."""
    scores = scores.contiguous()
    norm, _ = statistics("logsumexp", scores, scores, ptr)
    out = torch.empty_like(scores, dtype=torch.float32)
    grid = (triton.cdiv(scores.size(0), BLOCK),)
    launch(normalise_kernel, grid, scores, norm, target, out, scores.size(0), BLOCK=BLOCK)
    return out


def segment_sum(values: Tensor, ptr: Tensor, target: Tensor) -> Tensor:
    """``graphkd::segment_sum``."""
    return _row_totals(values, ptr)


def _row_totals(values: Tensor, ptr: Tensor) -> Tensor:
    values = values.contiguous()
    return statistics("sum", values, values, ptr)[0]


def edge_totals(values: Tensor, *layout: Tensor) -> Tensor:
    """``graphkd::edge_totals``."""
    ptr, _, _, out_ptr, _, out_order = layout
    return _row_totals(values, ptr) + _row_totals(values[out_order], out_ptr)


def edge_kl(student: Tensor, teacher: Tensor, ptr: Tensor, target: Tensor, reverse: bool) -> Tensor:
    """``graphkd::edge_kl``."""
    return statistics("reverse" if reverse else "kl", student.contiguous(), teacher.contiguous(), ptr)[1]


def statistics(mode: str, scores: Tensor, teacher: Tensor, ptr: Tensor) -> tuple[Tensor, Tensor]:
    """Compute ``normaliser`` (R, 2) or "sum" (R,) of scores between pointers; divergences (R,) of "kl", "reverse"."""
    chunks = row_chunks(ptr)
    value = torch.empty(ptr.size(0) - 1, dtype=torch.float32, device=ptr.device)
    norm = torch.empty_like(value) if mode == "sum" else value.new_empty(value.size(0), 2)
    partial, total = norm.new_empty(chunks.slots, 4), chunks.row.size(0)
    launch(
        statistics_kernel, (triton.cdiv(total, _ROWS),), norm, value, partial, scores, teacher, *chunks[:3], ptr, total,
        MODE=mode, LENGTH=chunks.length, ROWS=_ROWS, EDGES=_EDGES,
    )  # fmt: skip
    longer = chunks.long_row, chunks.long_ptr
    launch(
        combine_statistics_kernel, (chunks.long_row.size(0),), norm, value, partial, *longer,
        MODE=mode, SLOTS=_SLOTS, warps=1,
    )  # fmt: skip
    return norm, value


# ---------------------------------------------------------------- what to compile ahead of time
_MODES = ("sum", "logsumexp", "kl", "reverse")
COMPILED: list[Compiled] = [
    compiled
    for mode in _MODES
    for compiled in each_dtype(
        statistics_kernel,
        "*fp32 *fp32 *fp32 *? *fp32 *i32 *i32 *i32 *i32 i32",
        {"MODE": mode, "LENGTH": LENGTH, "ROWS": _ROWS, "EDGES": _EDGES},
    )
]
COMPILED += [
    Compiled(combine_statistics_kernel, "*fp32 *fp32 *fp32 *i32 *i32", {"MODE": mode, "SLOTS": _SLOTS}, warps=1)
    for mode in _MODES
]
COMPILED += each_dtype(normalise_kernel, "*? *fp32 *i32 *fp32 i32", {"BLOCK": BLOCK})
