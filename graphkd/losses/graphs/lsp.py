"""Local structure preserving (LSP): similarities of each node to its neighbours."""

from dataclasses import dataclass
from typing import Any, Literal, Self

from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import (
    EdgeLayout,
    edge_kl,
    edge_layout,
    local_structure_kl,
    segment_log_softmax,
    similarity_in_layout,
)
from graphkd.kernels.edges.similarity import EdgeKernel
from graphkd.losses._checks import check_rows, choose

Divergence = Literal["student_teacher", "teacher_student", "mse"]


@dataclass(frozen=True)
class LocalStructure:
    """For every node the distribution over its in-neighbours that feature similarity induces."""

    log_prob: Tensor
    layout: EdgeLayout

    def probabilities(self) -> Tensor:
        """Return edge probabilities (E,) in the order of the ``edge_index``."""
        return self.layout.restore(self.log_prob.exp())


def local_structure(
    x: Tensor, edge_index: Tensor | EdgeLayout, kernel: EdgeKernel = "rbf", **options: Any
) -> LocalStructure:
    """Apply softmax to edge similarities, over the edges entering each node: (N, d), (2, E) -> (E,), in log space.

    Example::

        >>> x, edges = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1, 2], [0, 0]])
        >>> local_structure(x, edges, "cosine").probabilities()  # softmax of node 0's cosines, 1 and 0
        tensor([0.7311, 0.2689])
    """
    layout = edge_layout(edge_index, x.size(0))
    return LocalStructure(segment_log_softmax(similarity_in_layout(x, layout, kernel, **options), layout), layout)


def lsp(
    student: Tensor,
    teacher: Tensor | LocalStructure,
    edge_index: Tensor,
    kernel: EdgeKernel = "rbf",
    *,
    divergence: Divergence = "student_teacher",
    reduction: Literal["nodes", "edges"] = "nodes",
    **options: Any,
) -> Tensor:
    """Compare two local structures: (N, d_s), (N, d_t), (2, E) -> scalar; formula and arguments at ``LSP``.

    ``teacher`` may be its ``local_structure``, precomputed with the same edges and kernel.

    Example::

        >>> teacher, edges = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1, 2], [0, 0]])
        >>> known = local_structure(teacher, edges, "cosine")  # (0.73, 0.27) of node 0's in-neighbours
        >>> round(float(lsp(torch.eye(3), known, edges, "cosine", reduction="edges")), 3)  # KL 0.12 over 2 edges
        0.06
    """
    choose("divergence", divergence, Divergence)
    choose("reduction", reduction, ("nodes", "edges"))
    if isinstance(teacher, Tensor):
        check_rows(student, teacher)
        teacher = local_structure(teacher, edge_layout(edge_index, student.size(0)), kernel, **options)
    layout = teacher.layout
    if layout.num_nodes != student.size(0):
        raise ValueError(f"'teacher' must be about {student.size(0)} nodes, got a structure of {layout.num_nodes}")
    reverse = divergence == "student_teacher"
    if divergence == "mse":
        probability = local_structure(student, layout, kernel, **options).log_prob.exp()
        total = (probability - teacher.log_prob.exp()).square().sum()
    elif student.is_cuda:  # one pass over the edges, without a second derivative; no gain on a CPU
        total = local_structure_kl(student, teacher.log_prob, layout, kernel, reverse=reverse, **options).sum()
    else:
        similarity = similarity_in_layout(student, layout, kernel, **options)
        total = edge_kl(similarity, teacher.log_prob, layout, reverse=reverse).sum()
    return total / max(layout.num_nodes if reduction == "nodes" else layout.num_edges, 1)


class LSP(Loss):
    """Match the similarities of each node to its in-neighbours: local structure preserving. Yang et al., CVPR 2020.

    u_ij = k(h_i, h_j) for every edge j -> i, LS_i = softmax_j u_ij, (1/N) sum_i KL(LS^student_i || LS^teacher_i).
    student: (N, d_s), teacher: (N, d_t), edge_index: (2, E) as listed: a duplicate edge counts twice, a node without
    in-edges adds 0. Kernels and their parameters (``sigma``, ``degree``, ``offset``, ``normalise``) are those
    of ``graphkd.kernels.edge_similarity``; the defaults, RBF with sigma 100, are our reading of the paper, as is the
    direction. ``divergence``: "student_teacher" (paper), "teacher_student" (both public codes), "mse" of the
    probabilities. ``reduction``: the mean over "nodes", or over "edges". The paper's weight is 100. O(E (d_s + d_t))
    time, O(E + N) memory beside the features. On a GPU the divergences are fused, and then not twice differentiable.

    Example::

        >>> x = torch.randn(48, 4)
        >>> abs(round(float(LSP("cosine")(3 * x, x, edge_index=data.edge_index)), 3))  # cosines are invariant to scale
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + 100 * LSP("cosine")
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
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
        self.kernel = choose("kernel", kernel, EdgeKernel)
        self.form: dict[str, Any] = {
            "divergence": choose("divergence", divergence, Divergence),
            "reduction": choose("reduction", reduction, ("nodes", "edges")),
        }
        self.options: dict[str, Any] = {"sigma": sigma, "degree": degree, "offset": offset, "normalise": normalise}

    @classmethod
    def distillgcn(cls, sigma: float = 100.0, *, on: str | None = None) -> Self:
        """Make the form of the authors' code: exp(-|h_i - h_j|_1 / 100), KL(teacher || student), mean over nodes."""
        return cls("laplacian", sigma=sigma, divergence="teacher_student", on=on)

    @classmethod
    def efficient_gnns(
        cls,
        kernel: Literal["cosine", "poly", "euclidean", "rbf"] = "cosine",
        *,
        divergence: Literal["teacher_student", "mse"] = "teacher_student",
        on: str | None = None,
    ) -> Self:
        """Make the form of Joshi et al., 2022, arXiv:2111.04964: KL(teacher || student) or "mse", mean over edges.

        ``poly`` is the squared cosine, ``euclidean`` the distance itself (far neighbours weigh more), ``rbf``
        exp(-|h_i - h_j|^2 / 2).
        """
        return cls(kernel, sigma=1.0, normalise=kernel == "poly", divergence=divergence, reduction="edges", on=on)

    def digest(self, teacher: Tensor, *, edge_index: Tensor) -> LocalStructure:  # type: ignore[override]
        """Compute the teacher's edge log-probabilities once."""
        return local_structure(teacher, edge_index, self.kernel, **self.options)

    def forward(self, student: Tensor, teacher: Tensor | LocalStructure, *, edge_index: Tensor) -> Tensor:
        return lsp(student, teacher, edge_index, self.kernel, **self.form, **self.options)


@method(
    "lsp",
    family="graphs",
    paper="Yang et al., CVPR 2020",
    arxiv="2003.10477",
    tasks=("rows",),
    needs=("hidden", "edges"),
)
def lsp_method(
    problem: Problem, *, weight: float = 100.0, kernel: Literal["cosine", "poly", "euclidean", "rbf"] = "rbf"
) -> Loss:
    """Match how alike each node is to its in-neighbours in hidden rows, beside the labels.

    Choose it where the edges matter and are many fewer than the pairs of nodes. The form is that of Joshi et al.,
    arXiv:2111.04964, the weight the paper's.
    """
    return problem.supervised() + weight * LSP.efficient_gnns(kernel)
