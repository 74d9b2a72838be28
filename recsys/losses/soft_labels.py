"""KDCRec's soft labels: the uniform model's distribution over items."""

from __future__ import annotations

from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_positive
from recsys.losses._ratings import check_shapes, mean
from recsys.losses._scores import wide


def soft_label_error(student: Tensor, teacher: Tensor, temperature: float = 5.0) -> Tensor:
    """Mean squared difference of softened distributions over all items: (B, I), (B, I) -> scalar."""
    check_shapes(student=student, teacher=teacher)
    check_positive("temperature", temperature)
    student, teacher = wide(student, teacher)
    return mean(((student / temperature).softmax(dim=-1) - (teacher / temperature).softmax(dim=-1)).square())


class SoftLabels(Loss):
    """Match the uniform model's distribution over items. Liu et al., SIGIR 2020 (KDCRec, structure-based).

    mean (softmax(f / T) - softmax(f_t / T))^2 over all B I entries; the total is c times this and (1 - c) times
    ``RatingError``, c = 0.2. The authors' other structure-based loss, the hint, has ``FitNet(on="code")`` instead.

    Example::

        >>> teacher = torch.tensor([[1.0, -1.0, 0.5]])
        >>> round(float(SoftLabels(temperature=5.0)(teacher + 3.0, teacher)), 3)  # the same distributions
        0.0
    """

    on = "output"

    def __init__(self, temperature: float = 5.0, *, on: str | None = None) -> None:
        super().__init__(on=on)
        self.temperature = check_positive("temperature", temperature)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return soft_label_error(student, teacher, self.temperature)
