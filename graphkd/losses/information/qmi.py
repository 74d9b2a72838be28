"""Quadratic mutual information (QMI) of embeddings and labels, from information potentials."""

from typing import Literal, NamedTuple, Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import affinity_sums
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_matrix, check_positive, check_rows, choose, class_ids
from graphkd.losses._rows import label_counts

PotentialKernel = Literal["cosine", "rbf"]


class Potentials(NamedTuple):
    """Information potentials of labelled rows: of pairs within a class, of all pairs, and of a class with all rows."""

    within: Tensor
    everywhere: Tensor
    between: Tensor

    def information(self) -> Tensor:
        """Compute the quadratic mutual information of rows and labels, V_in + V_all - 2 V_btw."""
        return self.within + self.everywhere - 2 * self.between


def information_potentials(
    x: Tensor, y: Tensor, kernel: PotentialKernel = "cosine", *, variance: float = 2.0
) -> Potentials:
    """Compute the three information potentials of Torkkola's quadratic mutual information (JMLR 2003).

    V_in = 1/N^2 sum_(y_i = y_j) k_ij, V_all = sum_c (n_c / N)^2 1/N^2 sum_ij k_ij, V_btw = 1/N^2 sum_i (n_y(i) / N)
    sum_j k_ij; x: (N, d), y: (N,) integers -> three scalars. k: "cosine" (1 + cos) / 2, in O(N d) by sums over classes;
    "rbf" exp(-|x - y|^2 / (2 variance)), where ``variance`` is twice the squared width of a Parzen window, in O(N^2 d)
    time in tiles.

    Example::

        >>> potentials = information_potentials(torch.eye(2), torch.tensor([0, 1]))
        >>> [round(float(value), 3) for value in potentials]  # within classes, of all pairs, of classes with all rows
        [0.5, 0.375, 0.375]
        >>> round(float(potentials.information()), 3)
        0.125
    """
    choose("kernel", kernel, PotentialKernel)
    check_positive("variance", variance)
    check_matrix("x", x)
    x = x.to(accumulation_dtype(x))
    y = class_ids(y, x.size(0))
    count, rows = label_counts(y), max(x.size(0), 1)
    if kernel == "cosine":
        unit = unit_vectors(x)
        everyone, alike = affinity_sums(unit, "cosine"), ((unit * _class_sums(unit, y)).sum(dim=1) + count) / 2
    else:
        everyone, alike = (affinity_sums(x, "rbf", labels=labels, sigma=variance) for labels in (None, y))
    share = count.to(accumulation_dtype(x)) / rows
    return Potentials(
        alike.sum() / rows**2, (share.sum() / rows) * (everyone.sum() / rows**2), (share * everyone).sum() / rows**2
    )


def _class_sums(x: Tensor, y: Tensor) -> Tensor:
    """Sum the rows of each row's class: (N, d) -> (N, d); a class is stored at its label's first place in order."""
    place = torch.searchsorted(y.sort().values, y)
    return torch.zeros_like(x).index_add(0, place, x)[place]


def qmi(
    student: Tensor,
    teacher: Tensor | Potentials,
    y: Tensor,
    kernel: PotentialKernel = "cosine",
    *,
    variance: float = 2.0,
) -> Tensor:
    """Sum the squared differences of both sides' three information potentials: (N, d_s), (N, d_t), (N,) -> scalar.

    See ``QMI``; ``teacher`` may be its ``information_potentials``.

    Example::

        >>> apart, alike, y = torch.eye(2), torch.ones(2, 2), torch.tensor([0, 1])
        >>> round(float(qmi(alike, apart, y)), 3)  # potentials 1/2, 1/2, 1/2 and 1/2, 3/8, 3/8
        0.031
    """
    if isinstance(teacher, Tensor):
        check_rows(student, teacher)
        teacher = information_potentials(teacher, y, kernel, variance=variance)
    ours = information_potentials(student, y, kernel, variance=variance)
    return torch.stack([(s - t).square() for s, t in zip(ours, teacher, strict=True)]).sum()


class QMI(Loss):
    """Match the information potentials of labelled embeddings. Torkkola, JMLR 2003; Passalis and Tefas, ECCV 2018.

    sum_k (V_k(s, y) - V_k(t, y))^2 over the three ``information_potentials``. student: (N, d_s), teacher: (N, d_t),
    y: (N,) integers. This sum is our choice: the paper motivates PKT by quadratic mutual information, but transfers the
    pairwise probabilities. "cosine" takes O(N d) time, "rbf" O(N^2 d); O(N d) memory.

    Example::

        >>> x, y = torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
        >>> abs(round(float(QMI()(3 * x, x, y=y)), 3))  # invariant to scale
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + 30 * QMI(where="train_mask")
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"
    rows = ("y",)

    def __init__(self, kernel: PotentialKernel = "cosine", *, variance: float = 2.0, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.kernel = choose("kernel", kernel, PotentialKernel)
        self.variance = check_positive("variance", variance)

    def digest(self, teacher: Tensor, *, y: Tensor) -> Potentials:  # type: ignore[override]
        """Compute the teacher's potentials once."""
        return information_potentials(teacher, y, self.kernel, variance=self.variance)

    def forward(self, student: Tensor, teacher: Tensor | Potentials, *, y: Tensor) -> Tensor:
        return qmi(student, teacher, y, self.kernel, variance=self.variance)


@method("qmi", family="information", paper="Torkkola, JMLR 2003", survey=(73,), tasks=("classes",), needs=("hidden",))
def qmi_method(problem: Problem, *, weight: float = 30.0) -> Loss:
    """Match the quadratic mutual information of hidden rows and labels, beside the labels.

    Choose it where hidden layers of any widths should separate classes as much as the teacher's do: it compares three
    numbers, means over pairs of the labelled nodes. We chose the weight on validation rows of Cora, from 1 to 100.
    """
    return problem.supervised() + weight * QMI(where=problem.labelled)
