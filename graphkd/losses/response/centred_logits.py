"""Answers for old classes while new ones are learnt."""

from typing import Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows


def centred_logits(student: Tensor, teacher: Tensor, classes: int | None = None) -> Tensor:
    """Average squared differences of centred logits of old classes: (N, C), (N, A) -> scalar; see ``CentredLogits``."""
    check_rows(student, teacher)
    old = teacher.size(-1) if classes is None else classes
    if not 0 < old <= min(student.size(-1), teacher.size(-1)):
        raise ValueError(
            f"the old classes, {old}, must be among those of both sides, got {student.size(-1)} and {teacher.size(-1)}"
        )
    both = (x[..., :old].to(accumulation_dtype(x)) for x in (student, teacher))
    s, t = (x - x.mean(dim=-1, keepdim=True) for x in both)
    return (s - t).square().sum() / max(s.numel(), 1)


class CentredLogits(Loss):
    """Keep the answers for old classes while new ones are learnt. Shmelkov et al., ICCV 2017, arXiv:1708.06977.

    (1 / N A) sum_ic ((s_ic - mean s_i) - (t_ic - mean t_i))^2, means and sum over the A old classes; student: (N, C),
    the old classes first, teacher: (N, A). classes: the number A of old classes, by default all of the teacher's.
    Learning without forgetting (Li and Hoiem, 2016) uses ``KL(2.0)`` instead.

    Example::

        >>> logits = torch.tensor([[3.0, 5.0, 9.0]])  # two old classes, then a new one
        >>> CentredLogits()(logits, torch.tensor([[0.0, 2.0]]))  # the old ones differ by a constant
        tensor(0.)
        >>> CentredLogits()(logits, torch.tensor([[0.0, 4.0]]))  # (-1, 1) against (-2, 2)
        tensor(1.)
        >>> result = graphkd.distil(CentredLogits(classes=2), student, teacher, data, epochs=2, progress=False)
    """

    def __init__(self, classes: int | None = None, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.classes = classes

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return centred_logits(student, teacher, self.classes)


@method(
    "centred_logits",
    family="response",
    paper="Shmelkov et al., ICCV 2017",
    arxiv="1708.06977",
    survey=(47,),
    tasks=("classes", "multi_label_node_classification"),
)
def centred_logits_method(problem: Problem, *, weight: float = 1.0) -> Loss:
    """Match the teacher's logits less their mean, beside the labels.

    Choose it where the student has classes that the teacher does not know; the teacher's classes must come first.
    """
    return problem.supervised() + weight * CentredLogits()
