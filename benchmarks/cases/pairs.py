"""The kernels over all pairs of nodes, and every way to compute them: ours and the plain form."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.cases.common import Builder, Case, Ops, Provider, Size, gb, library, sides
from graphkd.kernels import infonce, squared_distance_divergence
from graphkd.kernels.pairs.similarity import pair_divergence_reference
from graphkd.losses.graphs.gcrd import gcrd
from graphkd.losses.graphs.gsp import GSP, GlobalKernel, gsp

_TEMPERATURE = 0.075


def _plain_gsp(student: Tensor, teacher: Tensor, kernel: GlobalKernel) -> Tensor:
    if kernel in ("euclidean", "rbf"):
        return pair_divergence_reference(student, teacher, kernel)
    s, t = F.normalize(student, dim=1), F.normalize(teacher, dim=1)
    return F.mse_loss(s @ s.t(), t @ t.t()) if kernel == "cosine" else pair_divergence_reference(s, t, "poly")


def _all_pairs(size: Size, *, differences: bool) -> float:
    width = max(4 * size.student, 2 * size.teacher) if differences else 0
    return gb(size.nodes**2 * (6 + width))


def _gram_flops(size: Size, *, kept: bool) -> int:
    """Of S'S, T'T and S'T, the first two symmetric, and of the student's rows times both."""
    s, t = size.student, size.teacher
    return size.nodes * (s * s + (0 if kept else t * t) + 2 * s * t + 2 * s * (s + t))


def all_similarities(kernel: GlobalKernel) -> Builder:
    """GSP on all nodes; the plain form holds N x N, for distances N x N x d."""

    def build(size: Size, device: torch.device) -> Case:
        student, teacher = sides(size, device)
        needed = _all_pairs(size, differences=kernel in ("euclidean", "rbf"))
        reference = Provider(lambda: _plain_gsp(student, teacher, kernel), needed)
        flops = _gram_flops(size, kept=False) if kernel == "cosine" else 0
        providers = {"reference": reference} | library(lambda: gsp(student, teacher, kernel), device)
        return Case([student], providers, flops=flops)

    return build


def kept_similarities(size: Size, device: torch.device) -> Case:
    """GSP with the cosine beside a teacher seen before; "reference_cached" keeps the teacher's N x N."""
    student, teacher = sides(size, device)
    unit, loss = F.normalize(teacher, dim=1), GSP()
    matrix, known = unit @ unit.t(), loss.digest(teacher)

    def plain() -> Tensor:
        s = F.normalize(student, dim=1)
        return F.mse_loss(s @ s.t(), matrix)

    needed = _all_pairs(size, differences=False)
    providers = {
        "reference": Provider(lambda: _plain_gsp(student, teacher, "cosine"), needed),
        "reference_cached": Provider(plain, needed),
    }
    flops = _gram_flops(size, kept=True)
    return Case([student], providers | library(lambda: loss(student, known), device), flops=flops)


def all_distances(size: Size, device: torch.device) -> Case:
    """``squared_distance_divergence`` with both matrices divided by 2."""
    student, teacher = sides(size, device)
    two = torch.tensor(2.0, device=device)

    def plain() -> Tensor:
        s, t = student / two.sqrt(), teacher / two.sqrt()
        return pair_divergence_reference(s, t, "squared_euclidean") * size.nodes**2

    def own() -> Tensor:
        return squared_distance_divergence(student, teacher, two, two)

    reference = Provider(plain, _all_pairs(size, differences=True))
    return Case([student], {"reference": reference} | library(own, device))


def _plain_infonce(anchor: Tensor, candidate: Tensor) -> Tensor:
    logits = anchor @ candidate.t() / _TEMPERATURE
    return F.cross_entropy(logits, torch.arange(anchor.size(0), device=anchor.device), reduction="none")


def contrast(*, normalised: bool) -> Builder:
    """``infonce``, or with ``normalised`` rows and a mean G-CRD behind its heads; both sides train, as heads do."""

    def build(size: Size, device: torch.device) -> Case:
        student, teacher = sides(size, device)
        teacher.requires_grad_()

        def plain() -> Tensor:
            if normalised:
                return _plain_infonce(F.normalize(student, dim=1), F.normalize(teacher, dim=1)).mean()
            return _plain_infonce(student, teacher)

        own = gcrd if normalised else infonce
        reference = Provider(plain, _all_pairs(size, differences=False))
        return Case(
            [student, teacher],
            {"reference": reference} | library(lambda: own(student, teacher, _TEMPERATURE), device),
        )

    return build


OPS: Ops = {
    "gsp_cosine": (all_similarities("cosine"), [Size(8_192), Size(1_000_000)], []),
    "gsp_cosine_cached": (kept_similarities, [Size(8_192)], []),
    "gsp_poly": (all_similarities("poly"), [Size(2_048)], [Size(8_192)]),
    "gsp_euclidean": (all_similarities("euclidean"), [Size(2_048)], [Size(8_192)]),
    "gsp_rbf": (all_similarities("rbf"), [Size(2_048)], [Size(8_192)]),
    "gcrd": (contrast(normalised=True), [Size(8_192, 0, 128, 128)], [Size(100_000, 0, 128, 128)]),
    "infonce": (contrast(normalised=False), [Size(8_192, 0, 128, 128)], []),
    "squared_distance_divergence": (all_distances, [Size(2_048)], [Size(1_000_000)]),
}
