"""Hints: regression of the teacher's hidden features (FitNets)."""

from typing import Literal, Unpack

from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape, choose
from graphkd.losses._projector import projector
from graphkd.losses.response.fading_kl import FadingKL


def fitnet(
    student: Tensor, teacher: Tensor, *, normalise: bool = False, reduction: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """Average squared differences of features of one width: (N, d), (N, d) -> scalar; see ``FitNet``."""
    choose("reduction", reduction, ("mean", "sum"))
    check_same_shape(student, teacher, "; FitNet(student_width, teacher_width) projects the student")
    s, t = (unit_vectors(x) if normalise else x.to(accumulation_dtype(x)) for x in (student, teacher))
    return (s - t).square().sum() / (max(student.numel(), 1) if reduction == "mean" else 1)


class FitNet(Loss):
    """Regress the teacher's hidden features from the student's (hints). Romero et al., ICLR 2015, arXiv:1412.6550.

    (1 / N d_t) |W s + b - t|^2; student: (N, d_s), teacher: (N, d_t). With both widths given, a linear projector
    d_s -> d_t trains with the student; otherwise the widths must agree. ``normalise`` compares L2-normalised rows, as
    efficient-gnns does for nodes; ``reduction="sum"`` leaves out 1 / N d_t. The paper has 1/2 |.|^2 per sample (d_t / 2
    times this) and a first stage on hints alone, see the method ``fitnet_stages``; RepDistiller trains jointly.

    Example::

        >>> FitNet()(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))  # (3^2 + 4^2) / 2
        tensor(12.5000)
        >>> round(float(FitNet(normalise=True)(torch.tensor([[6.0, 8.0]]), torch.tensor([[3.0, 4.0]]))), 3)
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + 100 * FitNet(12, 12, normalise=True)
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
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


@method(
    "fitnet",
    family="features",
    paper="Romero et al., ICLR 2015",
    arxiv="1412.6550",
    survey=(18,),
    tasks=("rows",),
    needs=("hidden",),
)
def fitnet_method(problem: Problem, *, weight: float = 100.0, normalise: bool = True) -> Loss:
    """Regress the teacher's hidden rows from the student's by a linear layer, beside the labels.

    Choose it where the teacher's features are worth more than its answers. The defaults are those of efficient-gnns for
    graphs, which compares rows scaled to length 1.
    """
    return problem.supervised() + weight * FitNet(*problem.widths, normalise=normalise)


@method("fitnet_stages", family="features", paper="Romero et al., ICLR 2015", arxiv="1412.6550", needs=("hidden",))
def fitnet_stages_method(
    problem: Problem, *, temperature: float = 3.0, first: float = 4.0, last: float = 1.0
) -> nn.Module:
    """Regress the teacher's hidden rows in a first stage, then learn labels and soft targets, which fade.

    Choose it to train as the paper does, for students too deep to begin without a hint. The first stage runs to its
    last epoch; it trains the layers up to the hidden one and a linear layer, where the paper's regressor has a
    non-linearity. In the second stage the weight of T^2 KL falls linearly from ``first`` to ``last``, with T =
    ``temperature``; the defaults are the paper's.
    """
    student, hint = problem.student, FitNet(*problem.widths)
    problem.train(problem.distiller(student, problem.teacher, hint), "hints", choose=False)
    losses = problem.supervised() + FadingKL(temperature, first=first, last=last)
    return problem.train(problem.distiller(student, problem.teacher, losses), "targets")
