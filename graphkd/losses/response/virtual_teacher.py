"""Teacher-free distillation: a virtual teacher made of labels (Tf-KD)."""

from typing import Literal, Unpack

import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, choose, class_ids_of
from graphkd.losses.response.kd import KL, kl

Form = Literal["code", "paper"]


def virtual_teacher(
    student: Tensor, y: Tensor, temperature: float = 20.0, *, correct: float = 0.99, form: Form = "code"
) -> Tensor:
    """Compute KL from a teacher made of labels: (N, C), (N,) -> scalar; see ``VirtualTeacher``."""
    choose("form", form, Form)
    y = class_ids_of(student, y)
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
    """Match a virtual teacher, which is sure and always right. Yuan et al., CVPR 2020, arXiv:1909.11723 (Tf-KD_reg).

    u = ``correct`` on the label, (1 - correct) / (C - 1) on each other class. ``form="paper"``: mean_i KL(u at T ||
    softmax(s_i / T)). ``form="code"``: (1 / N C) sum_i KL(softmax(u / T) || softmax(s_i)); the authors' code takes the
    probabilities u for logits, so that at T = 20 the target is nearly uniform, and does not soften the student. Neither
    form has T^2: the paper's gradient shrinks with T, so shrink weight decay in the gradient (Adam's) too, or replace
    it by AdamW's. student: (N, C), y: (N,) integers in [0, C). The authors' total, with alpha = 0.1, is
    ``(1 - alpha) * CE() + alpha * 100 * VirtualTeacher()``. Raises ValueError unless 0 < correct < 1 and C >= 2.

    Example::

        >>> loss = VirtualTeacher(20.0, correct=0.75, form="paper")
        >>> loss(torch.tensor([[0.75, 0.25]]).log(), y=torch.tensor([0]))  # its own answer
        tensor(0.)
        >>> round(float(VirtualTeacher(20.0)(torch.zeros(1, 2), y=torch.tensor([0]))), 3)  # nearly uniform
        0.0
        >>> loss = VirtualTeacher(where="train_mask")
        >>> result = graphkd.distil(loss, student, None, data, epochs=2, progress=False)
    """

    answers = "classes"
    rows = ("y",)

    def __init__(
        self, temperature: float = 20.0, *, correct: float = 0.99, form: Form = "code", **reads: Unpack[Reads]
    ) -> None:
        super().__init__(**reads)
        self.temperature, self.correct = check_positive("temperature", temperature), correct
        self.form = choose("form", form, Form)

    def forward(self, student: Tensor, *, y: Tensor) -> Tensor:
        return virtual_teacher(student, y, self.temperature, correct=self.correct, form=self.form)


@method(
    "virtual_teacher",
    family="response",
    paper="Yuan et al., CVPR 2020",
    arxiv="1909.11723",
    survey=(76,),
    tasks=("classes",),
    teacher=False,
    space={"alpha": (0.003, 0.99), "correct": (0.5, 0.999)},
)
def virtual_teacher_method(
    problem: Problem, *, alpha: float = 0.1, multiplier: float = 100.0, temperature: float = 20.0, correct: float = 0.99
) -> Loss:
    """Match a virtual teacher that is sure and always right, beside the labels (Tf-KD_reg).

    Choose it where there is no teacher and training one is too expensive. ``multiplier`` is a factor of the authors'
    code, which averages the divergence over classes; at ``temperature`` 20 the target is nearly uniform.
    """
    made = VirtualTeacher(temperature, correct=correct, where=problem.labelled)
    return (1 - alpha) * problem.supervised() + alpha * multiplier * made


@method(
    "tf_kd_self",
    family="response",
    paper="Yuan et al., CVPR 2020",
    arxiv="1909.11723",
    survey=(76,),
    tasks=("classes",),
    teacher=False,
    space={"alpha": (0.03, 0.99)},
)
def tf_kd_self_method(
    problem: Problem, *, alpha: float = 0.95, multiplier: float = 1.0, temperature: float = 20.0
) -> nn.Module:
    """Train the student on labels, then teach a new one of its kind by it (Tf-KD_self).

    Choose it where there is no teacher, or none better than the student. The defaults are the authors' for MobileNetV2,
    with a divergence averaged over rows and classes; ``multiplier`` is 1 in most of their settings, 10 or 50 in some.
    Costs two trainings.
    """
    alone = problem.train(problem.distiller(problem.student, None, problem.supervised()), "alone")
    loss = (1 - alpha) * problem.supervised() + alpha * multiplier * KL(temperature, reduction="elementmean")
    return problem.train(problem.distiller(problem.fresh_student(1), alone, loss), "taught")
