"""What a hidden layer shows of every node: hints, attention, directions, and which units fire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss, Sum
from graphkd.losses._checks import check_rows, check_same_shape, check_widths, choose


def projector(student_width: int | None, teacher_width: int | None, *, bias: bool = True) -> nn.Module:
    """The linear layer from the student's width to the teacher's, or without widths none."""
    check_widths(student_width, teacher_width)
    if student_width is None or teacher_width is None:
        return nn.Identity()
    return nn.Linear(student_width, teacher_width, bias=bias)


def fitnet(
    student: Tensor, teacher: Tensor, *, normalise: bool = False, reduction: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """Mean squared difference of features of one width: (N, d), (N, d) -> scalar; see ``FitNet``."""
    choose("reduction", reduction, ("mean", "sum"))
    check_same_shape(student, teacher, "; FitNet(student_width, teacher_width) projects the student")
    if normalise:
        student, teacher = F.normalize(student, dim=-1), F.normalize(teacher, dim=-1)
    return (student - teacher).square().sum() / (max(student.numel(), 1) if reduction == "mean" else 1)


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
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.normalise = normalise
        self.reduction: Literal["mean", "sum"] = reduction
        choose("reduction", reduction, ("mean", "sum"))
        self.projector = projector(student_width, teacher_width)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return fitnet(self.projector(student), teacher, normalise=self.normalise, reduction=self.reduction)


def attention_transfer(
    student: Tensor, teacher: Tensor, power: float = 2.0, *, form: Literal["code", "paper"] = "code"
) -> Tensor:
    """Difference of unit-norm attention over nodes: (..., N, d_s), (..., N, d_t) -> scalar; see ``AT``."""
    check_rows(student, teacher)
    choose("form", form, ("code", "paper"))
    s, t = (F.normalize(x.abs().pow(power).sum(dim=-1), dim=-1) for x in (student, teacher))
    if form == "code":
        return (s - t).square().sum() / max(s.numel(), 1)
    distances = torch.linalg.vector_norm(s - t, dim=-1)
    return distances.sum() / max(distances.numel(), 1)


class AT(Loss):
    """Attention transfer: match how strongly each node is activated. Zagoruyko and Komodakis, ICLR 2017.

    a_i = sum_k |x_ik|^p, a / |a|_2 over the nodes of a graph; mean_i (a^s_i - a^t_i)^2 as in the authors' ``form``, the
    "code"; the "paper" (arXiv:1612.03928, eq. 2) has |a^s - a^t|_2, the mean over graphs. student: (N, d_s), teacher:
    (N, d_t); widths may differ. Leading dimensions before N are graphs of equal size. The paper's weight is 1e3 / 2
    over the number of nodes, the code's 1e3. Gradient attention: show the gradients of the inputs as an entry.
    """

    on = "hidden"

    def __init__(
        self,
        power: float = 2.0,
        *,
        form: Literal["code", "paper"] = "code",
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.power, self.form = power, form
        choose("form", form, ("code", "paper"))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return attention_transfer(student, teacher, self.power, form=self.form)


def hidden_cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of one minus the cosine of features of one width: (N, d), (N, d) -> scalar; see ``HiddenCosine``."""
    check_same_shape(student, teacher)
    return (1 - F.cosine_similarity(student, teacher, dim=-1)).sum() / max(student[..., 0].numel(), 1)


class HiddenCosine(Loss):
    """Match the directions of hidden states. Aguilar et al., AAAI 2020, arXiv:1910.03723; survey eq. 17 and 18.

    mean_i (1 - cos(s_i, t_i)); student, teacher: (N, d). A row of zeros has cosine 0. Their second part, the divergence
    of attention rows, averaged over heads and rows, is ``KL(on="attention")`` on scores (heads, N, N) before softmax.
    They train layers from the bottom to the top, one after the other, then the classes.
    """

    on = "hidden"

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return hidden_cosine(student, teacher)


def activation_boundaries(student: Tensor, teacher: Tensor, margin: float = 1.0) -> Tensor:
    """Squared hinge against the sign of the teacher's pre-activations: (N, d), (N, d) -> scalar; see ``AB``."""
    check_same_shape(student, teacher, "; AB(student_width, teacher_width) connects the student")
    sign = torch.where(teacher > 0, 1.0, -1.0).to(student.dtype)
    return (margin - sign * student).clamp_min(0).square().sum() / max(student[..., 0].numel(), 1)


class AB(Loss):
    """Activation boundaries: match which hidden units fire. Heo et al., AAAI 2019, arXiv:1811.03233.

    mean_i sum_k max(0, m - s_ik)^2 where t_ik > 0, max(0, m + s_ik)^2 elsewhere, on pre-activations; student: (N, d_s),
    teacher: (N, d_t). With both widths given a connector (linear without bias, batch norm) d_s -> d_t trains with the
    student; without, the widths must agree. It is the first of two stages: afterwards the student is trained on labels
    without it. ``AB.layers`` sums several layers as the authors do.
    """

    on = "hidden"

    def __init__(
        self,
        student_width: int | None = None,
        teacher_width: int | None = None,
        *,
        margin: float = 1.0,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        check_widths(student_width, teacher_width)
        self.margin = margin
        self.connector = (
            nn.Sequential(nn.Linear(student_width, teacher_width, bias=False), nn.BatchNorm1d(teacher_width))
            if student_width is not None and teacher_width is not None
            else nn.Identity()
        )

    @classmethod
    def layers(cls, entries: Sequence[str], *, margin: float = 1.0, where: str | None = None) -> Sum:
        """The deepest layer, named last, and each one before it with half the weight, all times 3 / 1000."""
        depth = len(entries) - 1
        return Sum(
            [(3e-3 * 0.5 ** (depth - n), cls(margin=margin, on=on, where=where)) for n, on in enumerate(entries)]
        )

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return activation_boundaries(self.connector(student), teacher, self.margin)
