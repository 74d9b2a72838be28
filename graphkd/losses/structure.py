"""How nodes relate: local structure over edges (LSP) and global structure over all pairs (GSP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels import (
    EdgeLayout,
    edge_kl,
    edge_layout,
    gram,
    gram_distance,
    grams,
    local_structure_kl,
    pair_divergence,
    segment_log_softmax,
    series_divergence,
    similarity_in_layout,
)
from graphkd.kernels.operators import accumulation_dtype
from graphkd.kernels.similarity import EdgeKernel
from graphkd.losses._checks import check_rows, choose

Divergence = Literal["student_teacher", "teacher_student", "mse"]
GlobalKernel = Literal["cosine", "poly", "euclidean", "rbf"]


@dataclass(frozen=True)
class LocalStructure:
    """For every node the distribution over its in-neighbours that feature similarity induces."""

    log_prob: Tensor
    layout: EdgeLayout

    def probabilities(self) -> Tensor:
        """Edge probabilities (E,) in the order of the ``edge_index``."""
        return self.layout.restore(self.log_prob.exp())


def local_structure(
    x: Tensor, edge_index: Tensor | EdgeLayout, kernel: EdgeKernel = "rbf", **knobs: Any
) -> LocalStructure:
    """Softmax of edge similarities over the edges entering each node: (N, d), (2, E) -> (E,), in log space."""
    layout = edge_layout(edge_index, x.size(0))
    return LocalStructure(segment_log_softmax(similarity_in_layout(x, layout, kernel, **knobs), layout), layout)


def lsp(
    student: Tensor,
    teacher: Tensor | LocalStructure,
    edge_index: Tensor,
    kernel: EdgeKernel = "rbf",
    *,
    divergence: Divergence = "student_teacher",
    reduction: Literal["nodes", "edges"] = "nodes",
    **knobs: Any,
) -> Tensor:
    """Divergence of two local structures: (N, d_s), (N, d_t), (2, E) -> scalar; formula and knobs at ``LSP``.

    ``teacher`` may be its ``local_structure``, computed before with the same kernel.
    """
    choose("divergence", divergence, get_args(Divergence))
    choose("reduction", reduction, ("nodes", "edges"))
    if isinstance(teacher, Tensor):
        check_rows(student, teacher)
        teacher = local_structure(teacher, edge_layout(edge_index, student.size(0)), kernel, **knobs)
    layout = teacher.layout
    if layout.num_nodes != student.size(0):
        raise ValueError(f"'teacher' must be about {student.size(0)} nodes, got a structure of {layout.num_nodes}")
    reverse = divergence == "student_teacher"
    if divergence == "mse":
        probability = local_structure(student, layout, kernel, **knobs).log_prob.exp()
        total = (probability - teacher.log_prob.exp()).square().sum()
    elif student.is_cuda:  # one pass over the edges; on a CPU that gains nothing, and it has no second derivative
        total = local_structure_kl(student, teacher.log_prob, layout, kernel, reverse=reverse, **knobs).sum()
    else:
        similarity = similarity_in_layout(student, layout, kernel, **knobs)
        total = edge_kl(similarity, teacher.log_prob, layout, reverse=reverse).sum()
    return total / max(layout.num_nodes if reduction == "nodes" else layout.num_edges, 1)


class LSP(Loss):
    """Local structure preserving: match how alike each node is to its in-neighbours. Yang et al., CVPR 2020.

    u_ij = k(h_i, h_j) for every edge j -> i, LS_i = softmax_j u_ij, (1/N) sum_i KL(LS^student_i || LS^teacher_i).
    student: (N, d_s), teacher: (N, d_t), edge_index: (2, E) taken literally: a duplicate edge counts twice, a node
    without in-edges counts 0. Kernels and their knobs (``sigma``, ``degree``, ``offset``, ``normalise``) are those of
    ``graphkd.kernels.edge_similarity``; the defaults, RBF with sigma 100, are our reading of the paper, as is the
    direction. ``divergence``: "student_teacher" (paper), "teacher_student" (both public codes), "mse" of the
    probabilities. ``reduction``: the mean over "nodes", or over "edges". The paper's weight is 100.
    O(E (d_s + d_t)) time, O(E + N) memory beside the features. On a GPU the divergences are fused, and then not twice
    differentiable.
    """

    on = "hidden"

    def __init__(
        self,
        kernel: EdgeKernel = "rbf",
        *,
        sigma: float = 100.0,
        degree: int = 2,
        offset: float = 0.0,
        normalise: bool = False,
        divergence: Divergence = "student_teacher",
        reduction: Literal["nodes", "edges"] = "nodes",
        on: str | None = None,
    ) -> None:
        super().__init__(on=on)
        self.kernel: EdgeKernel = kernel
        choose("kernel", kernel, get_args(EdgeKernel))
        choose("divergence", divergence, get_args(Divergence))
        self.knobs = {"sigma": sigma, "degree": degree, "offset": offset, "normalise": normalise}
        self.divergence, self.reduction = divergence, reduction

    @classmethod
    def distillgcn(cls, sigma: float = 100.0, *, on: str | None = None) -> LSP:
        """The form in the authors' code: exp(-|h_i - h_j|_1 / 100), KL(teacher || student), mean over all nodes."""
        return cls("laplacian", sigma=sigma, divergence="teacher_student", on=on)

    @classmethod
    def efficient_gnns(
        cls,
        kernel: Literal["cosine", "poly", "euclidean", "rbf"] = "cosine",
        *,
        divergence: Literal["teacher_student", "mse"] = "teacher_student",
        on: str | None = None,
    ) -> LSP:
        """The form of Joshi et al., 2022, arXiv:2111.04964: KL(teacher || student), or "mse", averaged over edges.

        ``poly`` is the squared cosine, ``euclidean`` the distance itself (far neighbours weigh more), ``rbf``
        exp(-|h_i - h_j|^2 / 2).
        """
        return cls(kernel, sigma=1.0, normalise=kernel == "poly", divergence=divergence, reduction="edges", on=on)

    def digest(self, teacher: Tensor, *, edge_index: Tensor) -> LocalStructure:  # type: ignore[override]
        """The teacher's edge log-probabilities."""
        return local_structure(teacher, edge_index, self.kernel, **self.knobs)

    def forward(self, student: Tensor, teacher: Tensor | LocalStructure, *, edge_index: Tensor) -> Tensor:
        """See the class."""
        return lsp(
            student,
            teacher,
            edge_index,
            self.kernel,
            divergence=self.divergence,
            reduction=self.reduction,
            **self.knobs,
        )


@dataclass(frozen=True)
class GlobalStructure:
    """A teacher's part of the cosine Gram identity: features, 1 / row norms, and |T' T|_F^2 as its Gram matrix."""

    features: Tensor
    inverse_norm: Tensor
    gram: Tensor

    @classmethod
    def of(cls, x: Tensor) -> GlobalStructure:
        """(N, d) -> the structure of its cosine similarities."""
        inverse = _inverse_norms(x)
        return cls(x, inverse, gram(x, x, inverse.square()))


def sample_rows(student: Tensor, teacher: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """``count`` rows of both sides, the same ones, drawn without replacement from torch's global generator."""
    rows = torch.randperm(student.size(0), device=student.device)[:count]
    return student[rows], teacher[rows]


def _inverse_norms(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=1, dtype=accumulation_dtype(x)).clamp_min(1e-12).reciprocal()


def gsp(
    student: Tensor,
    teacher: Tensor | GlobalStructure,
    kernel: GlobalKernel = "cosine",
    *,
    max_samples: int | None = None,
) -> Tensor:
    """Mean squared difference of two N x N similarity matrices: (N, d_s), (N, d_t) -> scalar; formula at ``GSP``."""
    choose("kernel", kernel, get_args(GlobalKernel))
    features = teacher.features if isinstance(teacher, GlobalStructure) else teacher
    check_rows(student, features)
    if max_samples is not None and student.size(0) > max_samples:
        student, features = sample_rows(student, features, max_samples)
        teacher = features
    if kernel == "cosine":
        return _cosine_gsp(student, teacher)
    if kernel == "poly":
        s, t = (F.normalize(x.to(accumulation_dtype(x)), dim=1) for x in (student, features))
        return series_divergence(s, t, (0.0, 0.0, 1.0))
    return pair_divergence(student, features, kernel)


def _cosine_gsp(student: Tensor, teacher: Tensor | GlobalStructure) -> Tensor:
    inverse = _inverse_norms(student)
    if isinstance(teacher, GlobalStructure):
        cross = gram(student, teacher.features, inverse * teacher.inverse_norm)
        found = (gram(student, student, inverse.square()), teacher.gram, cross)
    else:
        found = grams(student, teacher, inverse, _inverse_norms(teacher))
    return (gram_distance(*found) / max(student.size(0), 1) ** 2).to(inverse.dtype)


class GSP(Loss):
    """Global structure preserving: match the similarity of all pairs of nodes. Joshi et al., 2022, arXiv:2111.04964.

    (1/N^2) sum_ij (k(s_i, s_j) - k(t_i, t_j))^2, diagonal included; student: (N, d_s), teacher: (N, d_t).
    k: "cosine", "poly" cosine^2, "euclidean" |x - y|, "rbf" exp(-|x - y|^2 / 2).
    Cosine, and poly where d^2 columns cost less than N, use Gram matrices: O(N d^2) time and no N x N, on all nodes.
    The others stream all pairs, O(N^2 d) time and O(N) memory; ``max_samples`` draws that many nodes at each step, as
    the authors do (8192) for want of memory. The authors train heads on both sides on arXiv, where constant
    embeddings are optimal; we compare the features themselves, as they do on PPI and MAG.
    """

    on = "hidden"

    def __init__(
        self,
        kernel: GlobalKernel = "cosine",
        *,
        max_samples: int | None = None,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.kernel: GlobalKernel = kernel
        choose("kernel", kernel, get_args(GlobalKernel))
        self.max_samples = max_samples

    def digest(self, teacher: Tensor) -> Tensor | GlobalStructure:
        """The teacher's Gram matrix, for the cosine on all nodes."""
        return GlobalStructure.of(teacher) if self.kernel == "cosine" and self.max_samples is None else teacher

    def forward(self, student: Tensor, teacher: Tensor | GlobalStructure) -> Tensor:
        """See the class."""
        return gsp(student, teacher, self.kernel, max_samples=self.max_samples)
