"""Teacher outlier rejection: labels near the teacher's answer only (TOR)."""

from typing import Unpack

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import check_same_shape
from graphkd.losses.regression._errors import check_outputs, row_mean, squared_errors


def is_inlier(teacher: Tensor, y: Tensor, threshold: float = 1.0) -> Tensor:
    """Mark rows whose target is at most ``threshold`` from the teacher's output: (N, k), (N, k) -> (N,).

    Example::

        >>> t, y = torch.zeros(3, 1), torch.tensor([[0.5], [1.0], [4.0]])
        >>> is_inlier(t, y, threshold=1.0)
        tensor([ True,  True, False])
    """
    return squared_errors(teacher, y) <= threshold**2


def outlier_rejection(
    student: Tensor, imitation: Tensor, teacher: Tensor, y: Tensor, *, threshold: float = 1.0, weight: float = 0.5
) -> Tensor:
    """Sum squared errors of two heads, ignoring outlying labels: (N, k) each -> scalar; see ``OutlierRejection``."""
    check_outputs(student, teacher, y)
    check_same_shape(imitation, teacher)
    labelled = torch.where(is_inlier(teacher, y, threshold), squared_errors(student, y), 0)
    return row_mean(labelled + weight * squared_errors(imitation, teacher))


class OutlierRejection(Loss):
    """Ignore labels that are far from the teacher's answer (TOR). After Takamoto et al., MIPR 2020, arXiv:2002.12597.

    mean_i ([|t_i - y_i| <= threshold] |s_i - y_i|^2 + weight |r_i - t_i|^2); s and r are the outputs of the student's
    heads for labels and for the teacher; ``on`` names the entries of s and r, and t is the teacher's second entry; all
    (N, k). The mean is over all rows, rejected ones included. We did not have the paper's exact formula: this restates
    its idea. head: for a student without a second head, a layer that computes r from the student's hidden rows after a
    ReLU and trains with the student; ``on`` then names answer and hidden layer, and t is the teacher's first entry.

    Example::

        >>> s, t, y = torch.ones(2, 1), torch.zeros(2, 1), torch.tensor([[0.5], [9.0]])  # 9 is an outlier
        >>> OutlierRejection(threshold=1.0)((s, t), (t, t), y=y)  # (0.5^2 + 0) / 2, the second head at the teacher
        tensor(0.1250)
        >>> data.y = data.x[:, :3]
        >>> loss = OutlierRejection(head=nn.Linear(12, 3), where="train_mask")
        >>> given = {"task": graphkd.tasks.Regression(), "hidden": "convs.0", "epochs": 2, "progress": False}
        >>> result = graphkd.distil(loss, student, teacher, data, **given)
    """

    on = ("logits", "imitation")
    rows = ("y",)

    def __init__(
        self, threshold: float = 1.0, weight: float = 0.5, *, head: nn.Module | None = None, **reads: Unpack[Reads]
    ) -> None:
        if head is not None:
            reads["on"] = reads.get("on") or ("logits", "hidden")
        super().__init__(**reads)
        self.threshold, self.weight, self.head = threshold, weight, head

    def forward(self, student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], *, y: Tensor) -> Tensor:
        output, other = student
        imitation, taught = (other, teacher[1]) if self.head is None else (self.head(other.relu()), teacher[0])
        return outlier_rejection(output, imitation, taught, y, threshold=self.threshold, weight=self.weight)


@method(
    "outlier_rejection",
    family="regression",
    paper="Takamoto et al., MIPR 2020",
    arxiv="2002.12597",
    survey=(193, 204),
    tasks=("regression",),
    needs=("hidden",),
)
def outlier_rejection_method(problem: Problem, *, threshold: float = 2.0, weight: float = 0.5) -> Loss:
    """Learn the labels that the teacher finds credible, and the teacher by a second head.

    Choose it where labels are noisy numbers and the teacher is steadier than they are: labels further than
    ``threshold`` from the teacher's answer are ignored. The second head, on the student's hidden layer, is not needed
    after training. ``threshold`` is in the unit of the labels; the default is ours, for ratings of 1 to 5.
    """
    head = nn.Linear(problem.width_of(problem.student), problem.classes)
    return 1.0 * OutlierRejection(threshold, weight, head=head, where=problem.labelled)
