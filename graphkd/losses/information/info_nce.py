"""InfoNCE: tell the own teacher row from all others."""

from typing import Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import infonce
from graphkd.kernels.norms import unit_vectors
from graphkd.losses._checks import check_positive, check_same_shape


def info_nce(student: Tensor, teacher: Tensor, temperature: float = 0.5) -> Tensor:
    """InfoNCE of the directions of two embeddings of one width, own teacher row against all: (N, d), (N, d) -> scalar.

    See ``InfoNCE``; ``gcrd`` is the same behind heads, on a sample of the rows.
    """
    check_same_shape(student, teacher)
    check_positive("temperature", temperature)
    anchor, candidate = (unit_vectors(x) for x in (student, teacher))
    return infonce(anchor, candidate, temperature).sum() / max(student.size(0), 1)


class InfoNCE(Loss):
    """Tell the own teacher row from all others. van den Oord et al., 2018, arXiv:1807.03748.

    (1/N) sum_i [-a_i . b_i / tau + log sum_j exp(a_i . b_j / tau)], a, b the rows of student and teacher as unit
    vectors; student, teacher: (N, d). log N minus the ``nce`` bound of ``mutual_information``. No layers of its own:
    widths must agree; ``GCRD`` has heads. O(N^2 d) time, O(N d) memory.
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

    Choose it where what distinguishes nodes matters beyond their class, and layers of the loss's own are not wanted.
    """
    return problem.supervised() + weight * InfoNCE(temperature, on="logits")
