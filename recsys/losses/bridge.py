"""KDCRec's bridge: agreement with the uniform model on random pairs."""

from __future__ import annotations

from torch import Tensor

from graphkd.core.loss import Loss
from recsys.losses._ratings import check_shapes, mean
from recsys.losses._scores import wide


def bridge(student: Tensor, teacher: Tensor, sampled: Tensor | None = None) -> Tensor:
    """Mean of (f - f_t)^2 over all entries, those not ``sampled`` set to 0: (B, I) or (N,) each -> scalar."""
    check_shapes(student=student, teacher=teacher, **({} if sampled is None else {"sampled": sampled}))
    student, teacher = wide(student, teacher)
    errors = (student - teacher).square()
    return mean(errors if sampled is None else sampled * errors)


class Bridge(Loss):
    """Agree with the uniform model on random pairs, observed or not. Liu et al., SIGIR 2020 (KDCRec, label-based).

    mean (f - f_t)^2; student, teacher: (N,) on random pairs, or (B, I) with ``sampled`` (B, I), a fair coin for each
    entry. For factorisations the authors add the L2 of the random pairs' rows inside the weight:
    ``lamb2 * (Bridge(on="random") + lamb * Decay(on="random_decay"))``. The weight is 0.01 for autoencoders, 0.1 for
    factorisations.

    Example::

        >>> student, teacher = torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[1.0, 0.0, 0.0]])
        >>> Bridge()(student, teacher, sampled=torch.tensor([[1, 1, 0]]))  # (0 + 4) / 3
        tensor(1.3333)
    """

    on = "output"

    def forward(self, student: Tensor, teacher: Tensor, *, sampled: Tensor | None = None) -> Tensor:
        """See the class."""
        return bridge(student, teacher, sampled)
