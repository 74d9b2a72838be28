"""CausE: items are pulled to the copies that uniform ratings train."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphkd.core.loss import Loss
from recsys.losses._ratings import check_shapes
from recsys.losses._scores import wide


class CausalPull(Loss):
    """Pull items to copies trained on uniform ratings: CausE. Bonner and Vasile, RecSys 2018; Liu et al., 2020.

    mean over the batch of |q_i - sg(q'_i)|_1; student: ``item`` and ``copy``, (N, d) each, see ``BiasedMF``. For a
    uniform rating, item and copy are the same row, so it trains the copy and its term is 0.

    Example::

        >>> item, copy = torch.tensor([[1.0, 2.0]], requires_grad=True), torch.tensor([[0.0, 4.0]], requires_grad=True)
        >>> loss = CausalPull()((item, copy))  # |1 - 0| + |2 - 4|
        >>> loss.backward()
        >>> loss.item(), item.grad.tolist(), copy.grad
        (3.0, [[1.0, -1.0]], None)
    """

    on: str | tuple[str, ...] = ("item", "copy")
    rows: ClassVar[tuple[str, ...]] = ()

    def forward(self, student: tuple[Tensor, Tensor]) -> Tensor:
        """See the class."""
        item, copy = wide(*student)
        check_shapes(item=item, copy=copy)
        return (item - copy.detach()).abs().sum() / max(item.size(0), 1)
