"""Regression of the teacher's logits."""

from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape


def logit_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Average half the squared distance of logits over rows: (N, C), (N, C) -> scalar; see ``LogitMSE``."""
    check_same_shape(student, teacher)
    s, t = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    return (s - t).square().sum() / max(2 * s.size(0), 1)


class LogitMSE(Loss):
    """Regress the teacher's logits, (1 / 2N) sum_i |s_i - t_i|^2. Ba and Caruana, NIPS 2014, arXiv:1312.6184.

    student, teacher: (N, C). The paper standardises the teacher's logits first; that is left to the caller.

    Example::

        >>> LogitMSE()(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]))  # 5^2 / 2
        tensor(12.5000)
        >>> loss = graphkd.losses.CE(where="train_mask") + LogitMSE()
        >>> result = graphkd.distil(loss, student, teacher, data, epochs=2, progress=False)
    """

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return logit_mse(student, teacher)


@method(
    "logit_mse",
    family="response",
    paper="Ba and Caruana, NIPS 2014",
    arxiv="1312.6184",
    survey=(15, 125),
    tasks=("rows",),
)
def logit_mse_method(problem: Problem, *, weight: float = 1.0) -> Loss:
    """Regress the teacher's logits, beside the labels.

    Choose it where the size of the teacher's logits carries more than their order, or to avoid tuning a temperature.
    """
    return problem.supervised() + weight * LogitMSE()
