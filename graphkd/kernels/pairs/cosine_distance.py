"""Distance between the matrices of all cosines of two sets of rows, from Gram matrices; value and gradient at once.

With unit rows u and v, |U U' - V V'|^2 = |U' U|^2 + |V' V|^2 - 2 |U' V|^2. With respect to u its gradient is 4 P,
P = U (U' U) - V (V' U), and with respect to s, row by row, 4 (P - (P . u) u) / |s|.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.kernels.checks import check_rows
from graphkd.kernels.norms import inverse_norms
from graphkd.kernels.operators import accumulation_dtype, operator, register_known_gradient, wants_gradient
from graphkd.kernels.pairs.gram import (
    _BLOCK,
    _DOUBT,
    _ROWS,
    _blocks,
    _gram_blocks,
    _own_products,
    _summed_products,
    gram,
    gram_distance,
    grams,
)


def cosine_energy(x: Tensor) -> Tensor:
    """Sum of the squared cosines of all pairs of rows: (N, d) -> scalar in float64."""
    return gram(x, x, inverse_norms(x).square()).square().sum()


def cosine_distance(
    student: Tensor, teacher: Tensor, unit: Tensor | None = None, energy: Tensor | None = None
) -> Tensor:
    """Squared Frobenius distance of two matrices of cosines: (N, d_s), (N, d_t) -> scalar in float64.

    ``unit`` and ``energy``: the teacher's rows at length 1 and their ``cosine_energy``, if known. Cosines of rows of
    zeros are 0, with gradient 0. O(N (d_s^2 + d_t^2 + d_s d_t)) time, with ``unit`` and ``energy``
    O(N (d_s^2 + d_s d_t)); precision as in ``grams``. Not twice differentiable.
    """
    check_rows(student=student, teacher=teacher)
    if wants_gradient(teacher):
        return gram_distance(*grams(student, teacher, inverse_norms(student), inverse_norms(teacher)))
    value: Tensor = _cosine_distance(student, teacher, unit, energy, wants_gradient(student))[0]
    return value


def cosine_distance_reference(student: Tensor, teacher: Tensor) -> Tensor:
    """``cosine_distance`` with both N x N matrices."""
    one, other = (x.double() * inverse_norms(x.double())[:, None] for x in (student, teacher))
    return (one @ one.t() - other @ other.t()).square().sum()


@operator("cosine_distance")
def _cosine_distance(
    student: Tensor, teacher: Tensor, unit: Tensor | None, energy: Tensor | None, wanted: bool
) -> tuple[Tensor, Tensor]:
    """Compute the value, and if wanted its gradient with respect to the student."""
    wide = accumulation_dtype(student)
    inverse = inverse_norms(student).to(wide)
    rows = student.to(wide) * inverse[:, None]
    theirs, of_theirs = (teacher, inverse_norms(teacher).to(wide)) if unit is None else (unit, None)
    ss, st, tt = _products(rows, theirs, of_theirs, energy)
    total = ss.square().sum() + tt
    value = (total - 2 * st.square().sum()).clamp_min(0)
    if wide != torch.float64 and value < _DOUBT * total:  # a small difference of large numbers
        ss, bb, st = _gram_blocks(student, teacher, inverse, inverse_norms(teacher), torch.float64, _ROWS)
        value = gram_distance(ss, bb, st)
    if not wanted:
        return value, student.new_empty(0)
    pull = theirs.to(wide) @ st.t().to(wide)
    pull = pull if of_theirs is None else pull.mul_(of_theirs[:, None])
    pull.addmm_(rows, ss.to(wide), beta=-1)
    pull.addcmul_((pull * rows).sum(dim=1, keepdim=True), rows, value=-1)
    return value, pull.mul_(4 * inverse[:, None]).to(student.dtype)


def _products(
    rows: Tensor, theirs: Tensor, scale: Tensor | None, energy: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute U' U, U' V and |V' V|^2 in float64, from blocks of U's dtype; V: rows, times a scale if given."""
    wide, (p, q) = rows.dtype, (rows.size(1), theirs.size(1))
    ss, st, tt = (rows.new_zeros(shape, dtype=torch.float64) for shape in ((p, p), (p, q), (q, q)))
    step = _ROWS if wide == torch.float64 else _BLOCK
    for part in _blocks(rows if p > q else theirs, step):
        other = theirs[part].to(wide) if scale is None else theirs[part] * scale[part, None]
        ss += _own_products(rows[part], step)
        st += _summed_products(rows[part], other, step)
        if energy is None:
            tt += _own_products(other, step)
    return ss, st, tt.square().sum() if energy is None else energy


@_cosine_distance.register_fake
def _(
    student: Tensor, teacher: Tensor, unit: Tensor | None, energy: Tensor | None, wanted: bool
) -> tuple[Tensor, Tensor]:
    pull = torch.empty_like(student, memory_format=torch.contiguous_format) if wanted else student.new_empty(0)
    return student.new_empty((), dtype=torch.float64), pull


register_known_gradient(_cosine_distance)
