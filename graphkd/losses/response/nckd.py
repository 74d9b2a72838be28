"""Soft targets among the classes other than the label's (NCKD, FedNTD)."""

from typing import Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import check_positive
from graphkd.losses.response._decoupled import decoupled_labels, other_logits
from graphkd.losses.response.kd import kl


def nckd(student: Tensor, teacher: Tensor, y: Tensor, temperature: float = 1.0) -> Tensor:
    """T^2 KL of the probabilities among the other classes: (N, C), (N, C), (N,) -> scalar; see ``NCKD``."""
    y = decoupled_labels(student, teacher, y)
    return kl(other_logits(student, y), other_logits(teacher, y), temperature)


class NCKD(Loss):
    """Match the classes other than the label's. Lee et al., NeurIPS 2022, arXiv:2106.03097 (FedNTD); half of ``DKD``.

    T^2 mean_i KL(q(t_i) || q(s_i)), q the softmax at T over the C - 1 classes other than y_i; student, teacher: (N, C),
    y: (N,). FedNTD is ``CE() + NCKD()`` with the broadcast global model as the teacher; its code has T = 1.

    Example::

        >>> s, t = torch.tensor([[9.0, 1.0, 0.0]]), torch.tensor([[2.0, 1.0, 0.0]])
        >>> NCKD()(s, t, y=torch.tensor([0]))  # only the label's logit differs
        tensor(0.)
        >>> bool(NCKD()(s, t, y=torch.tensor([1])) > 0)
        True
        >>> loss = NCKD(2.0, where="train_mask")
        >>> result = graphkd.distil(loss, student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"
    classes_from = 3
    rows = ("y",)

    def __init__(self, temperature: float = 1.0, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.temperature = check_positive("temperature", temperature)

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor) -> Tensor:
        return nckd(student, teacher, y, self.temperature)


@method(
    "nckd", family="response", paper="Lee et al., NeurIPS 2022", arxiv="2106.03097", survey=(112,), tasks=("classes",)
)
def nckd_method(problem: Problem, *, weight: float = 1.0, temperature: float = 1.0) -> Loss:
    """Match the classes other than the label's, on labelled rows, beside the labels.

    Choose it where the student must keep what the teacher knows of other classes while it learns its labels, as clients
    in federated learning do.
    """
    return problem.supervised() + weight * NCKD(temperature, where=problem.labelled)
