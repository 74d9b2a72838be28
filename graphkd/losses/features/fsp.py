"""Flow of solution procedure: how two layers go together (FSP)."""

from collections.abc import Sequence
from typing import Literal, Unpack

from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import check_rows, choose
from graphkd.losses._layers import Layer, layer_taps
from graphkd.losses.features._channels import channel_products

Layers = tuple[Tensor, ...]
Reduction = Literal["mean", "sum"]


def flow(first: Tensor, second: Tensor) -> Tensor:
    """Average the products of channels of two layers, (1/N) sum_i x_i y_i': (..., N, m), (..., N, n) -> (..., m, n).

    Example::

        >>> flow(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]]))  # of one node
        tensor([[3.],
                [6.]])
        >>> tuple(flow(torch.ones(48, 8), torch.ones(48, 3)).shape)
        (8, 3)
    """
    return channel_products(first, second) / max(first.size(-2), 1)


def fsp(student: Layers, teacher: Layers | Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Compute the squared difference of two flows between two layers; see ``FSP``. ``teacher`` may be its ``flow``.

    student, teacher: the earlier layer (..., N, m) and the later one (..., N, n), of equal widths on both sides.

    Example::

        >>> layers = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]])  # their flow is (3, 6)
        >>> fsp(layers, torch.zeros(2, 1))  # (3^2 + 6^2) / 2
        tensor(22.5000)
        >>> fsp(layers, flow(*layers))
        tensor(0.)
    """
    choose("reduction", reduction, ("mean", "sum"))
    if not isinstance(teacher, Tensor):
        for one, other in zip(student, teacher, strict=True):
            check_rows(one, other)
        teacher = flow(*teacher)
    ours = flow(*student)
    if ours.shape != teacher.shape:
        raise ValueError(
            f"'teacher' must have layers as wide as the student's, {_widths(ours)}, got {_widths(teacher)}"
        )
    count = ours.numel() if reduction == "mean" else ours[..., 0, 0].numel()
    return (ours - teacher).square().sum() / max(count, 1)


def _widths(matrix: Tensor) -> tuple[int, ...]:
    return tuple(matrix.shape[-2:])


class FSP(Loss):
    """Match the flow of solution procedure between two layers. Yim et al., CVPR 2017.

    G = (1/N) sum_i x_i y_i' of a layer x (N, m) and a later one y (N, n), mean_kl (G^s - G^t)^2 as in RepDistiller;
    ``reduction="sum"`` is the paper's |G^s - G^t|_F^2. ``on`` names the two layers; student and teacher must have equal
    widths at each. Leading dimensions before N are graphs of equal size, over which the loss averages; (N, 1, m) takes
    each node as a graph, G its outer product. For several pairs of layers add several losses. The paper trains on the
    loss first and on labels afterwards; RepDistiller's weight in that first stage is 50. O(N m n) time.

    Example::

        >>> x, y = torch.randn(48, 8), torch.randn(48, 3)
        >>> round(float(FSP()((x, y), (x.flip(0), y.flip(0)))), 3)  # which node is which does not count
        0.0
        >>> layers = ("convs.0", "convs.1")
        >>> result = graphkd.distil("fsp", student, teacher, data, layers=layers, epochs=2, progress=False)
    """

    on = ("hidden_0", "hidden_1")

    def __init__(self, *, reduction: Reduction = "mean", **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.reduction = choose("reduction", reduction, ("mean", "sum"))

    def forward(self, student: Layers, teacher: Layers | Tensor) -> Tensor:
        return fsp(student, teacher, reduction=self.reduction)


@method(
    "fsp",
    family="features",
    paper="Yim et al., CVPR 2017",
    survey=(19,),
    needs=("layers",),
    cannot={"ensemble": "its layers must be as wide as the student's, and members' layers stand side by side"},
)
def fsp_method(problem: Problem, *, layers: Sequence[Layer], weight: float = 50.0) -> nn.Module:
    """Match how two layers go together in a first stage, then learn the labels alone.

    Choose it where both models have two layers of equal widths and the student lacks a good start. ``layers``: the
    earlier and the later layer, each a path for both models or a (student, teacher) pair of paths:
    ``layers=("convs.0", "convs.1")``. The weight is that of RepDistiller; the first stage runs to its last epoch.
    """
    taps = layer_taps("fsp", layers)
    problem.train(problem.distiller(problem.student, problem.teacher, weight * FSP(), taps=taps), "flow", choose=False)
    return problem.train(problem.distiller(problem.student, None, problem.supervised()), "labels")
