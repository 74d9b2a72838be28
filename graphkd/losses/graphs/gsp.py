"""Global structure preserving (GSP): similarities of all pairs of nodes."""

from dataclasses import dataclass
from typing import Literal, Self, Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import pair_divergence, series_divergence
from graphkd.kernels.norms import inverse_norms, unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.kernels.pairs.cosine_distance import cosine_distance, cosine_energy
from graphkd.losses._checks import check_rows, choose
from graphkd.losses._rows import sample_rows

GlobalKernel = Literal["cosine", "poly", "euclidean", "rbf"]


@dataclass(frozen=True)
class GlobalStructure:
    """A teacher's precomputed part of the cosine loss: features, their unit rows and their ``cosine_energy``."""

    features: Tensor
    unit: Tensor
    energy: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Self:
        """Compute the unit rows and the energy of features (N, d)."""
        return cls(x, x * inverse_norms(x, keepdim=True), cosine_energy(x))


def gsp(
    student: Tensor,
    teacher: Tensor | GlobalStructure,
    kernel: GlobalKernel = "cosine",
    *,
    max_samples: int | None = None,
) -> Tensor:
    """Compute the mean squared difference of two similarity matrices: (N, d_s), (N, d_t) -> scalar; formula at ``GSP``.

    Example::

        >>> apart, alike = torch.eye(2), torch.ones(2, 2)
        >>> [round(float(gsp(apart, alike, kernel)), 3) for kernel in ("cosine", "euclidean", "rbf")]
        [0.5, 1.0, 0.2]
    """
    choose("kernel", kernel, GlobalKernel)
    features = teacher.features if isinstance(teacher, GlobalStructure) else teacher
    check_rows(student, features)
    student = student.to(accumulation_dtype(student))
    if not isinstance(teacher, GlobalStructure):
        teacher = features = features.to(accumulation_dtype(features))
    if max_samples is not None and student.size(0) > max_samples:
        student, features = sample_rows(student, features, max_samples)
        teacher = features
    if kernel == "cosine":
        return _cosine_gsp(student, teacher)
    if kernel == "poly":
        s, t = (unit_vectors(x) for x in (student, features))
        return series_divergence(s, t, (0.0, 0.0, 1.0))
    return pair_divergence(student, features, kernel)


def _cosine_gsp(student: Tensor, teacher: Tensor | GlobalStructure) -> Tensor:
    if isinstance(teacher, GlobalStructure):
        found = cosine_distance(student, teacher.features, teacher.unit, teacher.energy)
    else:
        found = cosine_distance(student, teacher)
    return (found / max(student.size(0), 1) ** 2).to(student.dtype)


class GSP(Loss):
    """Match the similarity of all pairs of nodes: global structure preserving. Joshi et al., 2022, arXiv:2111.04964.

    (1/N^2) sum_ij (k(s_i, s_j) - k(t_i, t_j))^2, diagonal included; student: (N, d_s), teacher: (N, d_t).
    k: "cosine", "poly" cosine^2, "euclidean" |x - y|, "rbf" exp(-|x - y|^2 / 2).
    Cosine, and poly where d^2 columns cost less than N, use Gram matrices: O(N d^2) time and no N x N, on all nodes.
    The others stream all pairs, O(N^2 d) time and O(N) memory; ``max_samples`` draws that many nodes at each step, as
    the authors do (8192) to save memory. On arXiv the authors train heads on both sides, for which constant embeddings
    are optimal; we compare the features themselves, as they do on PPI and MAG.

    Example::

        >>> x = torch.randn(6, 4)
        >>> abs(round(float(GSP("cosine")(3 * x, x)), 3))  # invariant to scale
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + 100 * GSP("cosine")
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self, kernel: GlobalKernel = "cosine", *, max_samples: int | None = None, **reads: Unpack[Reads]
    ) -> None:
        super().__init__(**reads)
        self.kernel = choose("kernel", kernel, GlobalKernel)
        self.max_samples = max_samples

    def digest(self, teacher: Tensor) -> Tensor | GlobalStructure:
        """Compute the teacher's unit rows once, for the cosine on all nodes; else return its features."""
        return GlobalStructure.of(teacher) if self.kernel == "cosine" and self.max_samples is None else teacher

    def forward(self, student: Tensor, teacher: Tensor | GlobalStructure) -> Tensor:
        return gsp(student, teacher, self.kernel, max_samples=self.max_samples)


@method(
    "gsp", family="graphs", paper="Joshi et al., TNNLS 2022", arxiv="2111.04964", tasks=("rows",), needs=("hidden",)
)
def gsp_method(problem: Problem, *, weight: float = 100.0) -> Loss:
    """Match the cosines of all pairs of hidden rows, beside the labels.

    Choose it over ``lsp`` where nodes without a common edge are alike too; it compares all pairs without an N x N
    matrix.
    """
    return problem.supervised() + weight * GSP()
