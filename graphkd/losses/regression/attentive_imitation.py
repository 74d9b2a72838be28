"""Imitation as far as the teacher is right, of outputs and of hidden features."""

from typing import Unpack

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import check_rows, check_same_shape
from graphkd.losses._projector import projector
from graphkd.losses.regression._errors import check_outputs, check_targets, row_mean, squared_errors


def imitation_weights(
    teacher: Tensor, y: Tensor, error_range: tuple[float, float] | None = None, *, clamp: bool = True
) -> Tensor:
    """Weigh each row by 1 - e / (max e - min e), e the teacher's squared errors: (N, k), (N, k) -> (N,).

    error_range: min e and max e over the training set, by default over the rows given. clamp: keep weights at 0 or
    above. Where all errors are equal, up to rounding, the weights are 1.

    Example::

        >>> t, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.zeros(3, 1)  # squared errors 0, 1 and 4
        >>> imitation_weights(t, y)
        tensor([1.0000, 0.7500, 0.0000])
        >>> imitation_weights(t, y, error_range=(0.0, 2.0))  # 4 is beyond: clamped
        tensor([1.0000, 0.5000, 0.0000])
    """
    errors = squared_errors(teacher, y)
    if error_range is not None:
        spread = errors.new_tensor(error_range[1] - error_range[0])
    else:
        spread = errors.amax() - errors.amin() if errors.numel() else errors.new_zeros(())
    rounding = _rounding(teacher, y, errors) if errors.numel() else 0.0
    weights = 1 - errors / torch.where(spread > rounding, spread, torch.inf)
    return weights.clamp_min(0) if clamp else weights


def _rounding(teacher: Tensor, y: Tensor, errors: Tensor) -> Tensor:
    """Bound how far rounding moves equal squared errors e apart, for inputs exact to some units in the last place."""
    size = torch.maximum(teacher.detach().abs().amax(), y.abs().amax()).to(errors.dtype)
    worst = errors.detach().amax()  # rounding of inputs by r changes sqrt(e) by r, and e by 2 sqrt(e) r
    return 8 * torch.finfo(errors.dtype).eps * (worst + 2 * worst.sqrt() * size)


def attentive_imitation(
    student: Tensor,
    teacher: Tensor,
    y: Tensor,
    alpha: float = 0.5,
    *,
    error_range: tuple[float, float] | None = None,
    clamp: bool = True,
) -> Tensor:
    """Learn labels, and the teacher as far as it is right: (N, k) each -> scalar; see ``AttentiveImitation``."""
    check_outputs(student, teacher, y)
    weights = imitation_weights(teacher, y, error_range, clamp=clamp)
    return row_mean(alpha * squared_errors(student, y) + (1 - alpha) * weights * squared_errors(student, teacher))


class AttentiveImitation(Loss):
    """Weigh the imitation of the teacher down where its error is large. Saputra et al., ICCV 2019, arXiv:1908.00858.

    mean_i (alpha |s_i - y_i|^2 + (1 - alpha) w_i |s_i - t_i|^2), w_i = 1 - e_i / (max e - min e), e_i = |t_i - y_i|^2;
    student, teacher, y: (N, k). The paper takes min e and max e over the training set: give them as ``error_range``;
    the default takes them over the rows. Our additions: w is at least 0 (``clamp``), and 1 where all errors are equal.

    Example::

        >>> s, t, y = torch.zeros(3, 1), torch.tensor([[0.0], [1.0], [2.0]]), torch.zeros(3, 1)
        >>> AttentiveImitation(alpha=0.0)(s, t, y=y)  # weights 1, 0.75, 0 of squares 0, 1, 4
        tensor(0.2500)
        >>> loss = AttentiveImitation(0.5, where="train_mask")
        >>> data.y, task = data.x[:, :3], graphkd.tasks.Regression()
        >>> result = graphkd.distil(loss, student, teacher, data, task=task, epochs=2, progress=False)
    """

    rows = ("y",)

    def __init__(
        self,
        alpha: float = 0.5,
        *,
        error_range: tuple[float, float] | None = None,
        clamp: bool = True,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.alpha, self.error_range, self.clamp = alpha, error_range, clamp

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor) -> Tensor:
        return attentive_imitation(student, teacher, y, self.alpha, error_range=self.error_range, clamp=self.clamp)


def attentive_hint(
    student: Tensor, teacher: Tensor, output: Tensor, y: Tensor, *, error_range: tuple[float, float] | None = None
) -> Tensor:
    """Match hidden features as far as the teacher's output is right: (N, d), (N, d), (N, k), (N, k) -> scalar."""
    check_same_shape(student, teacher)
    check_rows(student, output)
    check_targets(output, y)
    return row_mean(imitation_weights(output, y, error_range) * squared_errors(student, teacher))


class AttentiveHint(Loss):
    """Match hidden features in a first stage of ``AttentiveImitation``. Saputra et al., ICCV 2019, arXiv:1908.00858.

    mean_i w_i |x_i - z_i|^2, x (N, d_s) and z (N, d_t) hidden features of student and teacher, w_i the
    ``imitation_weights`` of the teacher's outputs (N, k) and y. ``on`` names the entry of the features, then that of
    the outputs. With both widths given, a linear map d_s -> d_t trains with the student; otherwise the widths must
    agree.

    Example::

        >>> t, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.zeros(3, 1)  # weights 1, 0.75, 0
        >>> round(float(AttentiveHint()((torch.zeros(3, 2), t), (torch.ones(3, 2), t), y=y)), 3)  # of squares 2, 2, 2
        1.167
        >>> data.y, task = data.x[:, :3], graphkd.tasks.Regression()
        >>> loss = AttentiveHint(12, 12, where="train_mask")
        >>> given = {"task": task, "hidden": "convs.0", "epochs": 2, "progress": False}
        >>> result = graphkd.distil(loss, student, teacher, data, **given)
    """

    on = ("hidden", "logits")
    rows = ("y",)

    def __init__(
        self,
        student_width: int | None = None,
        teacher_width: int | None = None,
        *,
        error_range: tuple[float, float] | None = None,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.error_range = error_range
        self.projector = projector(student_width, teacher_width)

    def forward(self, student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], *, y: Tensor) -> Tensor:
        return attentive_hint(self.projector(student[0]), *teacher, y, error_range=self.error_range)


def error_range(teacher: Tensor, y: Tensor) -> tuple[float, float]:
    """Find the least and the largest squared error of a teacher over rows: (N, k), (N, k) -> two floats.

    Raises ValueError without rows.

    Example::

        >>> t, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.zeros(3, 1)
        >>> error_range(t, y)
        (0.0, 4.0)
        >>> loss = AttentiveImitation(error_range=error_range(t, y))  # of the training set, for batches of it
    """
    errors = squared_errors(teacher, y).detach()
    if not errors.numel():
        raise ValueError("there must be a labelled row for the teacher to be right about, got none")
    return float(errors.min()), float(errors.max())


def _known_range(problem: Problem) -> tuple[float, float]:
    """Find the range of the teacher's squared errors on labelled rows."""
    shown, rows = problem.view_of(problem.teacher), problem.labelled_nodes
    y = problem.targets[rows].to(shown.device)
    return error_range(shown[rows.to(shown.device)], y.reshape(y.size(0), -1))


@method(
    "attentive_imitation",
    family="regression",
    paper="Saputra et al., ICCV 2019",
    arxiv="1908.00858",
    survey=(207,),
    tasks=("regression",),
    space={"alpha": (0.02, 0.98)},
)
def attentive_imitation_method(problem: Problem, *, alpha: float = 0.5) -> Loss:
    """Learn numbers, and the teacher's as far as it is right about a row.

    Choose it for ratings and other numbers where the teacher errs much on some rows: there the student learns from the
    label. A row's weight is 1 minus the teacher's squared error over the range of its errors on labelled rows.
    """
    return 1.0 * AttentiveImitation(alpha, error_range=_known_range(problem), where=problem.labelled)


@method(
    "attentive_hint",
    family="regression",
    paper="Saputra et al., ICCV 2019",
    arxiv="1908.00858",
    survey=(207,),
    tasks=("regression",),
    needs=("hidden",),
    space={"alpha": (0.02, 0.98)},
)
def attentive_hint_method(problem: Problem, *, alpha: float = 0.5) -> nn.Module:
    """Learn hidden rows in a first stage, then answers, both as far as the teacher is right about a row.

    Choose it over ``attentive_imitation`` where the student lacks a good start. A linear map joins layers of different
    widths. The first stage runs to its last epoch. Costs two trainings.
    """
    bounds, widths = _known_range(problem), problem.widths
    joined = widths if widths[0] != widths[1] else (None, None)
    hint = AttentiveHint(*joined, error_range=bounds, where=problem.labelled)
    problem.train(problem.distiller(problem.student, problem.teacher, hint), "hint", choose=False)
    loss = AttentiveImitation(alpha, error_range=bounds, where=problem.labelled)
    return problem.train(problem.distiller(problem.student, problem.teacher, loss), "answers")
