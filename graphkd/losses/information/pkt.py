"""Probabilistic knowledge transfer (PKT): probabilities between rows, from pairwise kernels or from labels."""

from typing import Any, Literal, NamedTuple, Self, Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import affinity_divergence, affinity_sums
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.kernels.pairs.density_divergence import density_divergence, fits
from graphkd.losses._checks import check_matrix, check_rows, choose, class_ids
from graphkd.losses._rows import label_counts

DensityKernel = Literal["cosine", "exponential", "rbf", "student_t", "combined"]

DensityDivergence = Literal["kl", "kl_ratio", "jeffreys"]

DensityReduction = Literal["pairs", "rows"]


class Density(NamedTuple):
    """One side of PKT for one kernel: rows as the kernel reads them, and the row sums that normalise it."""

    rows: Tensor
    sums: Tensor


def densities(x: Tensor, kernel: DensityKernel = "cosine", *, eps: float = 1e-7, **options: Any) -> tuple[Density, ...]:
    """Prepare one side's embeddings (N, d) for ``pkt``: a ``Density`` for each kernel, two for "combined".

    Example::

        >>> (density,) = densities(torch.eye(2))  # (1 + cos) / 2 is 1 with itself and 1/2 with the other
        >>> density.sums
        tensor([1.5000, 1.5000])
        >>> len(densities(torch.eye(2), "combined"))
        2
    """
    check_matrix("x", x)
    x, found = x.to(accumulation_dtype(x)), []
    for name in _each(kernel):
        # Opposite rows have a probability of the order of eps, which float32 would lose.
        rows = unit_vectors(x.double(), eps=eps) if name == "cosine" else x
        sums = affinity_sums(rows, name, eps=eps, **options).to(x.dtype)
        found.append(Density(rows, sums.clamp_min(torch.finfo(sums.dtype).tiny)))
    return tuple(found)


def _each(kernel: DensityKernel) -> tuple[Any, ...]:
    choose("kernel", kernel, DensityKernel)
    return ("cosine", "student_t") if kernel == "combined" else (kernel,)


def pkt(
    student: Tensor,
    teacher: Tensor | tuple[Density, ...],
    kernel: DensityKernel = "cosine",
    divergence: DensityDivergence = "kl",
    *,
    reduction: DensityReduction = "pairs",
    eps: float = 1e-7,
    kernel_eps: float | None = None,
    **options: Any,
) -> Tensor:
    """Compare two sets of pairwise probabilities: (N, d_s), (N, d_t) -> scalar; formula and arguments at ``PKT``.

    ``teacher`` may be its ``densities``, precomputed with the same kernel and arguments.

    Example::

        >>> student, teacher = torch.randn(6, 4), torch.randn(6, 3)
        >>> known = densities(teacher, "combined")  # once, where the teacher stays
        >>> bool(torch.isclose(pkt(student, known, "combined"), pkt(student, teacher, "combined")))
        True
    """
    choose("divergence", divergence, DensityDivergence)
    choose("reduction", reduction, DensityReduction)
    of_kernel = {**options, "eps": eps if kernel_eps is None else kernel_eps}
    without_eps = divergence == "jeffreys" or (divergence == "kl" and eps == 0)
    if isinstance(teacher, Tensor):
        check_rows(student, teacher)
        teacher = densities(teacher, kernel, **of_kernel)
    options |= {"kernel_eps": of_kernel["eps"]}
    total = student.new_zeros((), dtype=torch.float64)
    for name, s, t in zip(_each(kernel), densities(student, kernel, **of_kernel), teacher, strict=True):
        if without_eps and fits(*t):
            total = total + density_divergence(s.rows, t.rows, t.sums, name, divergence, **options)
        else:
            total = total + affinity_divergence(s.rows, t.rows, s.sums, t.sums, name, divergence, eps=eps, **options)
    return _mean(total, student, reduction)


def _mean(total: Tensor, student: Tensor, reduction: str) -> Tensor:
    count = student.size(0) ** (2 if reduction == "pairs" else 1)
    return (total / max(count, 1)).to(accumulation_dtype(student))


class PKT(Loss):
    """Match the probabilities that nodes are neighbours: PKT. Passalis and Tefas, ECCV 2018, arXiv:1803.10837.

    p_ij = k(s_i, s_j) / sum_j k(s_i, s_j), q the same of the teacher; (1/N^2) sum_ij q log((q + eps) / (p + eps)), with
    the ``diagonal``, as in the authors' code. student: (N, d_s), teacher: (N, d_t). k: "cosine" (1 + cos) / 2, with
    ``kernel_eps`` (by default eps) added to norms; with D^2 = |x - y|^2 + kernel_eps, "student_t" 1 / (1 + (D /
    sigma)^degree) and "exponential" exp(-D / sigma), which the authors call rbf; "rbf" exp(-|x - y|^2 / (2 sigma));
    "combined", the sum of the losses of cosine and student_t. ``divergence``: "kl"; "kl_ratio" q log(eps + q / (p +
    eps)), as in the authors' later code; "jeffreys" (q - p)(log q - log p). ``reduction="rows"`` sums over j and
    averages over i; the default mean over N^2 is small, hence RepDistiller's weight of 30,000. O(N^2 d) time in tiles,
    O(N d) memory; Jeffreys' divergence, and "kl" with eps 0, store two numbers per pair for up to 5,500 nodes.

    Example::

        >>> round(float(PKT(reduction="rows")(torch.eye(2), torch.ones(2, 2))), 3)  # KL of (1/2, 1/2) and (2/3, 1/3)
        0.059
        >>> loss = graphkd.losses.CE(where="train_mask") + 470 * PKT(reduction="rows")
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self,
        kernel: DensityKernel = "cosine",
        divergence: DensityDivergence = "kl",
        *,
        sigma: float = 1.0,
        degree: float = 1.0,
        eps: float = 1e-7,
        kernel_eps: float | None = None,
        diagonal: bool = True,
        reduction: DensityReduction = "pairs",
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.kernel = choose("kernel", kernel, DensityKernel)
        self.divergence = choose("divergence", divergence, DensityDivergence)
        self.options = {"sigma": sigma, "degree": degree, "diagonal": diagonal}
        self.eps, self.kernel_eps, self.reduction = eps, eps if kernel_eps is None else kernel_eps, reduction

    @classmethod
    def survey(cls, kernel: DensityKernel = "cosine", *, sigma: float = 1.0, **reads: Unpack[Reads]) -> Self:
        """Make eq. 13 of Hu et al., arXiv:2304.14800: pairs i != j, no eps, the KL divergence averaged over rows."""
        return cls(kernel, sigma=sigma, eps=0.0, diagonal=False, reduction="rows", **reads)

    def digest(self, teacher: Tensor) -> tuple[Density, ...]:
        """Compute the teacher's densities once."""
        return densities(teacher, self.kernel, eps=self.kernel_eps, **self.options)

    def forward(self, student: Tensor, teacher: Tensor | tuple[Density, ...]) -> Tensor:
        eps = {"eps": self.eps, "kernel_eps": self.kernel_eps}
        return pkt(student, teacher, self.kernel, self.divergence, reduction=self.reduction, **eps, **self.options)


def supervised_pkt(
    student: Tensor,
    y: Tensor,
    kernel: DensityKernel = "cosine",
    *,
    eps: float = 1e-7,
    reduction: DensityReduction = "pairs",
) -> Tensor:
    """Apply PKT to labels, q_ij = [y_i = y_j] / count: (N, d), (N,) integers -> scalar; see ``SupervisedPKT``.

    Example::

        >>> y = torch.tensor([0, 1])  # each row is alone in its class: KL of (1, 0) and (2/3, 1/3)
        >>> round(float(supervised_pkt(torch.eye(2), y, reduction="rows")), 3)
        0.405
    """
    choose("reduction", reduction, DensityReduction)
    y = class_ids(y, student.size(0))
    total = student.new_zeros((), dtype=torch.float64)
    counts = label_counts(y).to(accumulation_dtype(student))
    for name, s in zip(_each(kernel), densities(student, kernel, eps=eps), strict=True):
        sides = s.rows, y[:, None], s.sums, counts
        total = total + affinity_divergence(*sides, name, "kl", teacher_kernel="match", eps=eps)
    return _mean(total, student, reduction)


class SupervisedPKT(Loss):
    """Bring rows of one class near each other: PKT with labels as the teacher. Passalis and Tefas, ECCV 2018.

    ``PKT`` with q_ij = [y_i = y_j] / |class of i|, the diagonal included; student: (N, d), y: (N,) integers >= 0.
    The options mean what they do in ``PKT``, to which the authors add this loss. O(N^2 d) time, O(N d) memory.

    Example::

        >>> x = torch.tensor([[1.0], [2.0], [-1.0], [-2.0]])
        >>> abs(round(float(SupervisedPKT()(x, y=torch.tensor([0, 0, 1, 1]))), 3))  # classes in opposite directions
        0.0
        >>> settings = {"hidden": "convs.0", "epochs": 2, "progress": False}
        >>> result = graphkd.distil("pkt_supervised", student, None, data, **settings)
    """

    on = "hidden"
    rows = ("y",)

    def __init__(
        self,
        kernel: DensityKernel = "cosine",
        *,
        eps: float = 1e-7,
        reduction: DensityReduction = "pairs",
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.kernel, self.eps = choose("kernel", kernel, DensityKernel), eps
        self.reduction: DensityReduction = choose("reduction", reduction, DensityReduction)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        return supervised_pkt(student, y, self.kernel, eps=self.eps, reduction=self.reduction)


@method(
    "pkt",
    family="information",
    paper="Passalis and Tefas, ECCV 2018",
    arxiv="1803.10837",
    survey=(72,),
    tasks=("rows",),
    needs=("hidden",),
)
def pkt_method(problem: Problem, *, weight: float = 470.0) -> Loss:
    """Match the probabilities with which hidden rows are near each other, beside the labels.

    Choose it for retrieval and for widths that differ: it has no layers and one weight. ``weight`` multiplies the mean
    over rows; it equals RepDistiller's 30,000 for the mean over all pairs at its batch size of 64.
    """
    return problem.supervised() + weight * PKT(reduction="rows")


@method(
    "pkt_supervised",
    family="information",
    paper="Passalis and Tefas, ECCV 2018",
    arxiv="1803.10837",
    survey=(72,),
    tasks=("classes",),
    needs=("hidden",),
    teacher=False,
)
def pkt_supervised_method(problem: Problem, *, weight: float = 0.1) -> Loss:
    """Bring labelled nodes of one class near each other in the hidden layer, beside the labels.

    Choose it where many nodes have labels; it needs no teacher. ``weight`` multiplies the mean over rows; we chose it
    on validation rows of Cora, from 0.01 to 10.
    """
    return problem.supervised() + weight * SupervisedPKT(where=problem.labelled, reduction="rows")
