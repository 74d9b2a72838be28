"""InfoNCE: contrast each node's own teacher row with those of all others."""

from typing import Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import infonce
from graphkd.kernels.norms import unit_vectors
from graphkd.losses._checks import check_positive, check_same_shape


def info_nce(student: Tensor, teacher: Tensor, temperature: float = 0.5) -> Tensor:
    """Contrast the directions of two embeddings of one width by InfoNCE: (N, d), (N, d) -> scalar.

    See ``InfoNCE``; ``gcrd`` computes the same, optionally on a sample of the rows.

    Example::

        >>> [round(float(info_nce(torch.eye(2), torch.eye(2), temperature)), 3) for temperature in (1.0, 0.1)]
        [0.313, 0.0]
    """
    check_same_shape(student, teacher)
    check_positive("temperature", temperature)
    anchor, candidate = (unit_vectors(x) for x in (student, teacher))
    return infonce(anchor, candidate, temperature).sum() / max(student.size(0), 1)


class InfoNCE(Loss):
    """Distinguish each node's own teacher row from all others. van den Oord et al., 2018, arXiv:1807.03748.

    (1/N) sum_i [-a_i . b_i / tau + log sum_j exp(a_i . b_j / tau)], a, b the rows of student and teacher as unit
    vectors; student, teacher: (N, d). It is log N minus the ``nce`` bound of ``mutual_information``. It has no layers,
    so that widths must agree; ``GCRD`` has heads. O(N^2 d) time, O(N d) memory.

    Example::

        >>> round(float(InfoNCE(1.0)(3 * torch.eye(2), torch.eye(2))), 3)  # log(1 + 1 / e), invariant to scale
        0.313
        >>> round(float(InfoNCE()(torch.ones(4, 2), torch.ones(4, 2))), 3)  # rows that cannot be told apart: log 4
        1.386
        >>> settings = {"temperature": 0.5, "epochs": 2, "progress": False}
        >>> result = graphkd.distil("info_nce", student, teacher, data, **settings)
    """

    on = "hidden"

    def __init__(self, temperature: float = 0.5, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.temperature = check_positive("temperature", temperature)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return info_nce(student, teacher, self.temperature)


@method(
    "info_nce",
    family="information",
    paper="van den Oord et al., 2018",
    arxiv="1807.03748",
    survey=(100,),
    tasks=("rows",),
)
def info_nce_method(problem: Problem, *, weight: float = 1.0, temperature: float = 0.5) -> Loss:
    """Tell each node's logits of the teacher from those of all others, beside the labels.

    Choose it where differences between nodes matter beyond their class, and the loss should have no layers.
    """
    return problem.supervised() + weight * InfoNCE(temperature, on="logits")
