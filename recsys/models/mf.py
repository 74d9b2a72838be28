"""Matrix factorisation: two free tables."""

from __future__ import annotations

from torch import Tensor

from recsys.models.base import Recommender
from recsys.models.embedding import Embedding


class MF(Recommender):
    """Factorise the matrix of pairs (Rendle et al., UAI 2009): two free tables, N(0, std²) by the global generator.

    Example::

        >>> mf = MF(num_users=3, num_items=4, width=2)
        >>> user, item = mf.tables()
        >>> torch.equal(mf(torch.tensor([0, 2])), user[[0, 2]] @ item.T)
        True
    """

    def __init__(self, num_users: int, num_items: int, width: int, std: float = 0.01) -> None:
        super().__init__(num_users, num_items)
        self.user, self.item = Embedding(num_users, width, std), Embedding(num_items, width, std)
        for table in (self.user, self.item):
            table.reset_parameters()

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the two tables."""
        return self.user.weight, self.item.weight
