"""Teachers that are not trained: smoothed labels, and the virtual teacher of Tf-KD."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_labels, check_positive, choose
from graphkd.losses.response import kl

Spread = Literal["all", "others"]
Form = Literal["code", "paper"]


def label_smoothing(student: Tensor, y: Tensor, alpha: float = 0.1, *, spread: Spread = "all") -> Tensor:
    """Cross-entropy with labels of which a share is spread: (N, C), (N,) -> scalar; see ``LabelSmoothing``."""
    choose("spread", spread, get_args(Spread))
    check_labels(y, student.size(0), student.size(-1))
    logs = F.log_softmax(student.to(accumulation_dtype(student)), dim=-1)
    hit, classes = logs.gather(1, y[:, None])[:, 0], student.size(-1)
    misses = logs.mean(dim=1) if spread == "all" else (logs.sum(dim=1) - hit) / max(classes - 1, 1)
    return -((1 - alpha) * hit + alpha * misses).sum() / max(hit.numel(), 1)


class LabelSmoothing(Loss):
    """Cross-entropy with smoothed labels, which no teacher makes. Yuan et al., CVPR 2020, arXiv:1909.11723.

    -mean_i sum_c q_c log softmax(s_i)_c, q = (1 - alpha) onehot(y_i) + alpha / C; student: (N, C), y: (N,) integers in
    [0, C). ``spread="others"`` as in the authors' code: 1 - alpha on the label, alpha / (C - 1) on each other class.
    """

    rows: ClassVar[tuple[str, ...]] = ("y",)

    def __init__(
        self, alpha: float = 0.1, *, spread: Spread = "all", on: str | None = None, where: str | None = None
    ) -> None:
        super().__init__(on=on, where=where)
        self.alpha = alpha
        self.spread: Spread = spread
        choose("spread", spread, get_args(Spread))

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        """See the class."""
        return label_smoothing(student, y, self.alpha, spread=self.spread)


def virtual_teacher(
    student: Tensor, y: Tensor, temperature: float = 20.0, *, correct: float = 0.99, form: Form = "code"
) -> Tensor:
    """KL from a teacher made of labels: (N, C), (N,) -> scalar; see ``VirtualTeacher``."""
    choose("form", form, get_args(Form))
    check_labels(y, student.size(0), student.size(-1))
    if not 0 < correct < 1 or student.size(-1) < 2:
        raise ValueError(
            f"'correct' must leave something to other classes: above 0, below 1, of 2 classes at least; "
            f"got {correct} of {student.size(-1)}"
        )
    check_positive("temperature", temperature)
    one_hot = F.one_hot(y, student.size(-1)).to(accumulation_dtype(student))
    made = (1 - correct) / (student.size(-1) - 1) * (1 - one_hot) + correct * one_hot
    if form == "paper":
        return kl(student, made.log(), temperature, rescale=False)
    return kl(student, made / temperature, reduction="elementmean")


class VirtualTeacher(Loss):
    """Tf-KD's virtual teacher, sure and always right. Yuan et al., CVPR 2020, arXiv:1909.11723 (Tf-KD_reg).

    u = ``correct`` on the label, (1 - correct) / (C - 1) on each other class. ``form="paper"``: mean_i KL(u at T ||
    softmax(s_i / T)). ``"code"``, the authors': (1 / N C) sum_i KL(softmax(u / T) || softmax(s_i)), where probabilities
    are taken for logits, so that at T = 20 the target is nearly uniform, and the student is not softened. No T^2 in
    either. student: (N, C), y: (N,) integers in [0, C). Their total is
    ``(1 - alpha) * CE() + alpha * 100 * VirtualTeacher()`` with alpha = 0.1.
    """

    rows: ClassVar[tuple[str, ...]] = ("y",)

    def __init__(
        self,
        temperature: float = 20.0,
        *,
        correct: float = 0.99,
        form: Form = "code",
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.temperature, self.correct = check_positive("temperature", temperature), correct
        self.form: Form = form
        choose("form", form, get_args(Form))

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        """See the class."""
        return virtual_teacher(student, y, self.temperature, correct=self.correct, form=self.form)
