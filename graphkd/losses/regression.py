"""Numbers instead of classes: ratings and other targets, with a teacher that may be wrong about them."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, check_same_shape


def _check(student: Tensor, teacher: Tensor, y: Tensor) -> None:
    check_same_shape(student, teacher)
    _check_target(student, y)


def _check_target(student: Tensor, y: Tensor) -> None:
    if y.shape != student.shape:
        raise ValueError(f"'y' must have the shape of the outputs, {tuple(student.shape)}, got {tuple(y.shape)}")


def squared_errors(output: Tensor, y: Tensor) -> Tensor:
    """Squared distance of every row from its target: (N, k), (N, k) -> (N,), in float32 at least."""
    wide = accumulation_dtype(output)
    return (output.to(wide) - y.to(wide)).square().sum(dim=-1)


def _mean(rows: Tensor) -> Tensor:
    return rows.sum() / max(rows.numel(), 1)


def is_bounded(student: Tensor, teacher: Tensor, y: Tensor, margin: float = 0.0) -> Tensor:
    """Where the student's squared error plus ``margin`` is above the teacher's: (N, k) each -> (N,)."""
    return squared_errors(student.detach(), y) + margin > squared_errors(teacher, y)


def bounded_error(student: Tensor, teacher: Tensor, y: Tensor, margin: float = 0.0) -> Tensor:
    """The student's squared error where ``is_bounded``, the mean over rows: (N, k) each -> scalar."""
    _check(student, teacher, y)
    return _mean(torch.where(is_bounded(student, teacher, y, margin), squared_errors(student, y), 0))


def smooth_l1(student: Tensor, y: Tensor) -> Tensor:
    """Huber's loss with delta 1 of every output, summed over a row, mean over rows: (N, k), (N, k) -> scalar."""
    _check_target(student, y)
    wide = accumulation_dtype(student)
    return F.smooth_l1_loss(student.to(wide), y.to(wide), reduction="sum") / max(student[..., 0].numel(), 1)


def teacher_bounded(student: Tensor, teacher: Tensor, y: Tensor, *, nu: float = 0.5, margin: float = 0.0) -> Tensor:
    """``smooth_l1`` plus nu times ``bounded_error``: (N, k) each -> scalar; see ``TeacherBounded``."""
    return smooth_l1(student, y) + nu * bounded_error(student, teacher, y, margin)


class TeacherBounded(Loss):
    """Regression bounded by the teacher's error. Chen et al., NeurIPS 2017.

    mean_i (H(s_i - y_i) + nu [|s_i - y_i|^2 + margin > |t_i - y_i|^2] |s_i - y_i|^2), H Huber's loss with delta 1,
    summed over the k outputs; student, teacher, y: (N, k), k = 1 for ratings. The gradient pulls to the target, never
    to the teacher, who only decides whether the second term counts. The margin is on the student's side as printed: the
    term counts also where the student is a little better. nu 0.5; the margin's value is not in the paper.
    """

    rows: ClassVar[tuple[str, ...]] = ("y",)

    def __init__(
        self, nu: float = 0.5, margin: float = 0.0, *, on: str | None = None, where: str | None = None
    ) -> None:
        super().__init__(on=on, where=where)
        self.nu, self.margin = nu, margin

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor) -> Tensor:
        """See the class."""
        return teacher_bounded(student, teacher, y, nu=self.nu, margin=self.margin)


def is_inlier(teacher: Tensor, y: Tensor, threshold: float = 1.0) -> Tensor:
    """Where the target is at most ``threshold`` from the teacher's output: (N, k), (N, k) -> (N,)."""
    return squared_errors(teacher, y) <= threshold**2


def outlier_rejection(
    student: Tensor, imitation: Tensor, teacher: Tensor, y: Tensor, *, threshold: float = 1.0, weight: float = 0.5
) -> Tensor:
    """Squared errors of two heads, labels near the teacher's only: (N, k) each -> scalar; see ``OutlierRejection``."""
    _check(student, teacher, y)
    check_same_shape(imitation, teacher)
    labelled = torch.where(is_inlier(teacher, y, threshold), squared_errors(student, y), 0)
    return _mean(labelled + weight * squared_errors(imitation, teacher))


class OutlierRejection(Loss):
    """Teacher outlier rejection (TOR) for noisy targets. After Takamoto et al., MIPR 2020, arXiv:2002.12597.

    mean_i ([|t_i - y_i| <= threshold] |s_i - y_i|^2 + weight |r_i - t_i|^2); s and r are the student's heads for labels
    and for the teacher, ``on`` names both entries, in that order, and the teacher is read at the second; all (N, k).
    A restatement: the paper's exact formula was not at hand. The mean is over all rows, the rejected too.
    """

    on = ("logits", "imitation")
    rows: ClassVar[tuple[str, ...]] = ("y",)

    def __init__(
        self,
        threshold: float = 1.0,
        weight: float = 0.5,
        *,
        on: tuple[str, str] | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.threshold, self.weight = threshold, weight

    def forward(self, student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], *, y: Tensor) -> Tensor:
        """See the class."""
        return outlier_rejection(*student, teacher[1], y, threshold=self.threshold, weight=self.weight)


def imitation_weights(
    teacher: Tensor, y: Tensor, error_range: tuple[float, float] | None = None, *, clamp: bool = True
) -> Tensor:
    """How far to imitate each row, 1 - e / (max e - min e) of the teacher's squared errors: (N, k), (N, k) -> (N,).

    ``error_range`` gives their bounds over the training set, by default they are those of the rows. ``clamp``: 0 at
    least.
    """
    errors = squared_errors(teacher, y)
    if error_range is not None:
        spread = errors.new_tensor(error_range[1] - error_range[0])
    else:
        spread = errors.amax() - errors.amin() if errors.numel() else errors.new_zeros(())
    weights = 1 - errors / torch.where(spread > 0, spread, torch.inf)
    return weights.clamp_min(0) if clamp else weights


def attentive_imitation(
    student: Tensor,
    teacher: Tensor,
    y: Tensor,
    alpha: float = 0.5,
    *,
    error_range: tuple[float, float] | None = None,
    clamp: bool = True,
) -> Tensor:
    """Labels, and the teacher as far as it is right: (N, k) each -> scalar; see ``AttentiveImitation``."""
    _check(student, teacher, y)
    weights = imitation_weights(teacher, y, error_range, clamp=clamp)
    return _mean(alpha * squared_errors(student, y) + (1 - alpha) * weights * squared_errors(student, teacher))


class AttentiveImitation(Loss):
    """Imitate the teacher the less the more it errs. Saputra et al., ICCV 2019, arXiv:1908.00858 (attentive imitation).

    mean_i (alpha |s_i - y_i|^2 + (1 - alpha) w_i |s_i - t_i|^2), w_i = 1 - e_i / (max e - min e), e_i = |t_i - y_i|^2;
    student, teacher, y: (N, k). The paper's bounds of e are those of the training set, ``error_range``; without it they
    are those of the rows. Ours: w is 0 at least (``clamp``), and 1 where all errors are equal.
    """

    rows: ClassVar[tuple[str, ...]] = ("y",)

    def __init__(
        self,
        alpha: float = 0.5,
        *,
        error_range: tuple[float, float] | None = None,
        clamp: bool = True,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.alpha, self.error_range, self.clamp = alpha, error_range, clamp

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor) -> Tensor:
        """See the class."""
        return attentive_imitation(student, teacher, y, self.alpha, error_range=self.error_range, clamp=self.clamp)


def disagreement(student: Tensor, teacher: Tensor, made: Tensor, *, size: float = 1e-5, output: float = 1e-5) -> Tensor:
    """What a generator of inputs minimises: (N, k), (N, k), (N, d) -> scalar. Kang and Kang, ESWA 2021.

    -mean (t - s)^2 + size mean_i |x_i|^2 + output mean s^2: inputs x on which a regression student and its teacher
    differ. The gradient goes to the generator through x, s and t. The authors' code drops the last two terms (they
    stand on a line of their own). The student minimises f (t - s)^2 on made inputs plus 1 - f times that on Gaussian
    noise, f falling from 1 to 0: ``f * FitNet(on="made") + (1 - f) * FitNet(on="noise")``.
    """
    check_same_shape(student, teacher)
    check_rows(student, made)
    answers = (output * student.square() - (teacher - student).square()).sum() / max(student.numel(), 1)
    return answers + size * _mean(made.square().sum(dim=-1))


def attentive_hint(
    student: Tensor,
    teacher: Tensor,
    output: Tensor,
    y: Tensor,
    *,
    error_range: tuple[float, float] | None = None,
) -> Tensor:
    """Hidden features as far as the teacher's output is right: (N, d), (N, d), (N, k), (N, k) -> scalar."""
    check_same_shape(student, teacher)
    check_rows(student, output)
    _check_target(output, y)
    return _mean(imitation_weights(output, y, error_range) * squared_errors(student, teacher))


class AttentiveHint(Loss):
    """Attentive hint training, the first stage of ``AttentiveImitation``. Saputra et al., ICCV 2019, arXiv:1908.00858.

    mean_i w_i |x_i - z_i|^2 of hidden features x of the student and z of the teacher, (N, d), and the weights that the
    teacher's outputs (N, k) earn against y. ``on`` names the features, then the outputs.
    """

    on = ("hidden", "logits")
    rows: ClassVar[tuple[str, ...]] = ("y",)

    def __init__(
        self,
        *,
        error_range: tuple[float, float] | None = None,
        on: tuple[str, str] | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.error_range = error_range

    def forward(self, student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], *, y: Tensor) -> Tensor:
        """See the class."""
        return attentive_hint(student[0], *teacher, y, error_range=self.error_range)
