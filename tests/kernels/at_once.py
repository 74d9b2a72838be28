"""Kernels that make value and gradient at once, of a student beside a teacher that stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from graphkd import kernels
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.pairs import affinities, relative_distances, series, similarity
from graphkd.kernels.pairs.affinity_divergence import affinity_divergence_reference
from graphkd.kernels.pairs.cosine_distance import cosine_distance, cosine_distance_reference, cosine_energy
from graphkd.kernels.pairs.density_divergence import density_divergence
from graphkd.kernels.pairs.distances import FLOOR, _distances_reference
from graphkd.kernels.pairs.relative_distances import relative_distance_divergence
from tests.kernels.case import Case
from tests.kernels.graphs import Graph

Kernel = Callable[..., Tensor]


def beside(function: Kernel, /, **knobs: object) -> Kernel:
    """A function of a student, a teacher and its scale, with a teacher that has no gradient."""

    def kernel(student: Tensor, graph: Graph) -> Tensor:
        count = student.size(0)
        teacher = (torch.arange(2 * count).reshape(count, 2) * 5 % 7 - 3).to(student.dtype) / 4  # exact in any dtype
        return function(student, teacher, _wide(teacher.new_tensor(1.5)), **knobs)

    return kernel


def with_known(student: Tensor, teacher: Tensor, scale: Tensor, *, squared: bool = False, delta: float = 1.0) -> Tensor:
    """``relative_distance_divergence`` with the teacher's distances, one tile of them, given."""
    found = _distances_reference(_wide(teacher), squared, FLOOR) / scale
    known = (found,) if found.numel() else ()
    return relative_distance_divergence(student, teacher, scale, known, squared=squared, delta=delta)


def dense(student: Tensor, teacher: Tensor, _: Tensor, **knobs: Any) -> Tensor:
    """``density_divergence`` of rows so short that cosines are positive."""
    form = {name: knobs[name] for name in ("sigma", "degree", "diagonal") if name in knobs}
    sums = kernels.affinity_sums(teacher / 8, knobs["kernel"], eps=knobs.get("kernel_eps", 0.0), **form)
    return density_divergence(student / 8, teacher / 8, sums, **knobs)


def dense_reference(student: Tensor, teacher: Tensor, _: Tensor, **knobs: Any) -> Tensor:
    """``dense`` by ``affinity_divergence`` with the row sums of both matrices."""
    divergence, kernel = knobs.pop("divergence"), knobs.pop("kernel")
    form = {"sigma": 1.0, "degree": 1.0, "kernel_eps": 0.0, "diagonal": True, **knobs}
    sums = (
        affinities.affinity_reference(x / 8, kernel, *(form[name] for name in form)).sum(dim=1)
        for x in (student, teacher)
    )
    return affinity_divergence_reference(student / 8, teacher / 8, *sums, kernel, divergence, **form)


def of_two(function: Kernel, /, **knobs: object) -> Kernel:
    """A function of a student and a teacher, beside a scale that it does not take."""
    return lambda student, teacher, _: function(student, teacher, **knobs)


def cosines_beside_known(student: Tensor, teacher: Tensor, _: Tensor) -> Tensor:
    """``cosine_distance`` with the teacher's unit rows and energy given."""
    return cosine_distance(student, teacher, unit_vectors(teacher), cosine_energy(teacher))


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _case(kernel: Kernel, reference: Kernel, /, *, wide_result: bool = False, **knobs: object) -> Case:
    return Case(beside(kernel, **knobs), beside(reference, **knobs), ("node",), wide_result=wide_result)


_RELATIVE = relative_distances.relative_distance_divergence_reference
_SERIES = {"coefficients": (0.5, 1.5, 0.7, 0.3)}

CASES: dict[str, Case] = {
    **{
        f"relative_distance_divergence{'_squared' * squared}{suffix}": _case(
            kernel, _RELATIVE, squared=squared, delta=0.3
        )
        for squared in (False, True)
        for suffix, kernel in (("", relative_distance_divergence), ("_known", with_known))
    },
    **{
        f"density_divergence_{knobs['kernel']}_{knobs['divergence']}": _case(
            dense, dense_reference, wide_result=True, **knobs
        )
        for knobs in (
            {"kernel": "cosine", "divergence": "jeffreys"},
            {"kernel": "cosine", "divergence": "kl"},
            {"kernel": "student_t", "divergence": "jeffreys", "kernel_eps": 0.1},
            {"kernel": "student_t", "divergence": "kl", "sigma": 1.5, "degree": 3.0, "kernel_eps": 0.1},
            {"kernel": "exponential", "divergence": "jeffreys", "kernel_eps": 0.1, "sigma": 1.5},
            {"kernel": "rbf", "divergence": "kl", "sigma": 1.5},
        )
    },
    **{
        f"cosine_distance_of_a_{what}_teacher": _case(kernel, of_two(cosine_distance_reference), wide_result=True)
        for what, kernel in (("constant", of_two(cosine_distance)), ("known", cosines_beside_known))
    },
    "series_divergence_at_once": _case(
        of_two(kernels.series_divergence, **_SERIES), of_two(series.series_divergence_reference, **_SERIES)
    ),
    **{
        f"pair_divergence_at_once_{kernel}": _case(
            of_two(kernels.pair_divergence, kernel=kernel, sigma=1.5, degree=3, offset=0.5),
            of_two(similarity.pair_divergence_reference, kernel=kernel, sigma=1.5, degree=3, offset=0.5),
        )
        for kernel in ("poly", "euclidean", "rbf")
    },
}
