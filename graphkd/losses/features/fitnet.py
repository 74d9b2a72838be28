"""Hints: regression of the teacher's hidden features (FitNets)."""

from typing import Literal, Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape, choose
from graphkd.losses._projector import projector


def fitnet(
    student: Tensor, teacher: Tensor, *, normalise: bool = False, reduction: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """Mean squared difference of features of one width: (N, d), (N, d) -> scalar; see ``FitNet``."""
    choose("reduction", reduction, ("mean", "sum"))
    check_same_shape(student, teacher, "; FitNet(student_width, teacher_width) projects the student")
    s, t = (unit_vectors(x) if normalise else x.to(accumulation_dtype(x)) for x in (student, teacher))
    return (s - t).square().sum() / (max(student.numel(), 1) if reduction == "mean" else 1)


class FitNet(Loss):
    """Regress the teacher's hidden features from the student's (hints). Romero et al., ICLR 2015, arXiv:1412.6550.

    (1 / N d_t) |W s + b - t|^2; student: (N, d_s), teacher: (N, d_t). With both widths given a linear projector
    d_s -> d_t trains with the student; without, the widths must agree. ``normalise`` compares L2-normalised rows, the
    node form of efficient-gnns; ``reduction="sum"`` leaves out 1 / N d_t. The paper has 1/2 |.|^2 per sample (d_t / 2
    times this) and a first stage on hints alone; like RepDistiller, we train jointly.
    """

    on = "hidden"

    def __init__(
        self,
        student_width: int | None = None,
        teacher_width: int | None = None,
        *,
        normalise: bool = False,
        reduction: Literal["mean", "sum"] = "mean",
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.normalise = normalise
        self.reduction = choose("reduction", reduction, ("mean", "sum"))
        self.projector = projector(student_width, teacher_width)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return fitnet(self.projector(student), teacher, normalise=self.normalise, reduction=self.reduction)


@method("fitnet", family="features", paper="Romero et al., ICLR 2015", arxiv="1412.6550", needs=("hidden",))
def fitnet_method(problem: Problem, *, weight: float = 100.0, normalise: bool = True) -> Loss:
    """Regress the teacher's hidden rows from the student's by a linear layer, beside the labels.

    Choose it where the teacher's features are worth more than its answers. The settings are those of efficient-gnns,
    for graphs, which compare rows of length 1.
    """
    return problem.supervised() + weight * FitNet(*problem.widths, normalise=normalise)
