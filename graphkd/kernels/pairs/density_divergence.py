"""Divergences of pairwise probabilities, value and gradient at once, with one logarithm for both directions of a pair.

With kernels k (student) and t (teacher), a and b one over their row sums, L = log(t / k) and c = log(b / a):

KL sum_ij b_i t (L + c_i) = sum_i (b_i Q_i + c_i), where Q_i = sum_j t L; Jeffreys sum_ij (b_i t - a_i k)(L + c_i)
= sum_i (b_i Q_i - a_i R_i), where R_i = sum_j k L, since b_i t and a_i k sum to 1 over j.

The derivative with respect to k of an unordered pair, through its row sums too, is g_i + g_j - (b_i + b_j) t / k with
g = a; for Jeffreys it has the further term - (a_i + a_j) L, and g = a + a^2 R. All formulas still hold if a constant
is subtracted from c and added to L: the mean of c, which makes L and the cancellation small.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor

from graphkd.kernels.checks import check_rows, check_vectors
from graphkd.kernels.operators import accumulation_dtype, operator, register_known_gradient, wants_gradient
from graphkd.kernels.pairs.affinities import Affinity, AffinityKernel, _sums_pull
from graphkd.kernels.pairs.affinity_divergence import AffinityDivergence, _divergence, _inverse, _pull
from graphkd.kernels.pairs.tiles import directions, fit_in_memory, tiles

_LEAST = 1e-20  # a kernel below it may come near what ``affinity_divergence`` adds in logarithms


def fits(teacher: Tensor, teacher_sums: Tensor) -> bool:
    """Tell whether ``density_divergence`` takes this teacher: up to 64 MB of pairs, and no gradient."""
    return fit_in_memory(teacher_sums) and not (wants_gradient(teacher) or wants_gradient(teacher_sums))


def density_divergence(
    student: Tensor,
    teacher: Tensor,
    teacher_sums: Tensor,
    kernel: AffinityKernel,
    divergence: AffinityDivergence,
    *,
    sigma: float = 1.0,
    degree: float = 1.0,
    kernel_eps: float = 0.0,
    diagonal: bool = True,
) -> Tensor:
    """``affinity_divergence`` without eps of kernels over their own row sums: (N, d_s), (N, d_t), (N,) -> scalar.

    In float64; "kl" or "jeffreys", ValueError for others. ``teacher_sums``: the teacher's ``affinity_sums``, in the
    dtype of the tiles. Two numbers per pair are stored between the passes, so use it only where ``fits`` is true. If
    some kernel is near 0, ``affinity_divergence`` computes the result. O(N^2 d) time. The teacher is a constant. Not
    twice differentiable.
    """
    if divergence not in ("kl", "jeffreys"):
        raise ValueError(f"'divergence' must be 'kl' or 'jeffreys', got {divergence!r}")
    check_rows(student=student, teacher=teacher)
    check_vectors(student.size(0), teacher_sums=teacher_sums)
    options = float(sigma), float(degree), float(kernel_eps), diagonal, wants_gradient(student)
    value: Tensor = _density_divergence(student, teacher, teacher_sums, kernel, divergence, *options)[0]
    return value


@operator("density_divergence")
def _density_divergence(
    student: Tensor,
    teacher: Tensor,
    teacher_sums: Tensor,
    kernel: str,
    divergence: str,
    sigma: float,
    degree: float,
    kernel_eps: float,
    diagonal: bool,
    wanted: bool,
) -> tuple[Tensor, Tensor]:
    """Compute the value, and if wanted its gradient with respect to the student."""
    options = kernel, sigma, degree, kernel_eps, diagonal
    wide = accumulation_dtype(teacher_sums)
    s, t = (Affinity(x, *options, wide) for x in (student, teacher))
    ours, sums = _kept(s)
    a, b = _inverse(sums, student, kernel), _inverse(teacher_sums.double(), teacher, kernel)
    found = _compared(s, t, ours, a, b, divergence == "jeffreys", wanted)
    if found is None:
        return _apart(student, teacher, sums.to(wide), teacher_sums, divergence, options, wanted)
    value, own, slopes = found
    if not wanted:
        return value, student.new_empty(0)
    weighted = (
        (rows, columns, (own[rows, None] + own[columns]).sub_(slope).mul_(steep))
        for (rows, columns), (slope, steep) in zip(tiles(student), slopes, strict=True)
    )
    return value, s.gathered(weighted).to(student.dtype)


@_density_divergence.register_fake
def _(student: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    pull = torch.empty_like(student, memory_format=torch.contiguous_format) if others[-1] else student.new_empty(0)
    return student.new_empty((), dtype=torch.float64), pull


register_known_gradient(_density_divergence)


# ---------------------------------------------------------------- passes
def _kept(affinity: Affinity) -> tuple[deque[tuple[Tensor, Tensor]], Tensor]:
    """Compute the tiles of a kernel with what its slope needs, and row sums (N,) in float64."""
    kept: deque[tuple[Tensor, Tensor]] = deque()
    sums = torch.zeros(affinity.x.size(0), dtype=torch.float64, device=affinity.x.device)
    for rows, columns in tiles(affinity.x):
        values, distance = affinity.tile(rows, columns)
        _add_sums(sums, values, rows, columns)
        kept.append((values, distance))
    return kept, sums


def _compared(
    s: Affinity, t: Affinity, ours: deque[tuple[Tensor, Tensor]], a: Tensor, b: Tensor, jeffreys: bool, wanted: bool
) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor | float]]] | None:
    """Compute the value, g (N,), and for every tile what is subtracted from g_i + g_j and the factor of dk.

    Return None where a kernel or a row sum vanishes.
    """
    if not (a.all() and b.all()):
        return None
    moments, slopes = torch.zeros(2, a.size(0), dtype=torch.float64, device=a.device), []  # Q and R
    shifts = (b / a).log()
    shift, by_s, by_t = shifts.mean(), a.to(s.x.dtype), b.to(s.x.dtype)
    for rows, columns in tiles(s.x):
        (k, distance), kernel = ours.popleft(), t.tile(rows, columns)[0]
        left_out = rows == columns and not s.diagonal
        if left_out:
            k, kernel = k.fill_diagonal_(1), kernel.fill_diagonal_(1)
        if k.amin() < _LEAST or kernel.amin() < _LEAST:
            return None
        ratio = kernel / k
        log = ratio.log().add_(shift)
        log = log.fill_diagonal_(0) if left_out else log
        _add_sums(moments[0], kernel.mul_(log), rows, columns)
        if jeffreys:
            _add_sums(moments[1], torch.mul(k, log, out=kernel), rows, columns)
        if wanted:
            slope = ratio.mul_(by_t[rows, None] + by_t[columns])
            slope = slope.addcmul_(log, by_s[rows, None] + by_s[columns]) if jeffreys else slope
            slopes.append((slope, s.steepness(k, distance)))
    value = b @ moments[0] - a @ moments[1] if jeffreys else b @ moments[0] + (shifts - shift).sum()
    return value.clamp_min(0), (a + a.square() * moments[1]).to(by_s.dtype), slopes


def _add_sums(sums: Tensor, values: Tensor, rows: slice, columns: slice) -> None:
    for owners, dim in directions(rows, columns):
        sums[owners] += values.sum(dim=dim)


def _apart(
    student: Tensor, teacher: Tensor, sums: Tensor, teacher_sums: Tensor, divergence: str, options: tuple, wanted: bool
) -> tuple[Tensor, Tensor]:
    """Compute the same where some kernel vanishes, in separate passes for the value and the gradients."""
    kernel, sigma, degree, kernel_eps, diagonal = options
    form = kernel, kernel, divergence, sigma, degree, 0.0, kernel_eps, diagonal
    value = _divergence.aten(student, teacher, sums, teacher_sums, *form)
    if not wanted:
        return value, student.new_empty(0)
    pull, of_sums = _pull.aten(student, sums, teacher, teacher_sums, *form, False)
    return value, pull + _sums_pull.aten(student, of_sums.to(accumulation_dtype(student)), None, *options)
