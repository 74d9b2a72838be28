"""Matrix factorisation: two free tables."""

from __future__ import annotations

from torch import Tensor, nn

from recsys.models.base import Recommender


class MF(Recommender):
    """Matrix factorisation (Rendle et al., UAI 2009): two free tables, N(0, std²) by the global generator."""

    def __init__(self, num_users: int, num_items: int, width: int, std: float = 0.01) -> None:
        super().__init__(num_users, num_items)
        self.user, self.item = nn.Embedding(num_users, width), nn.Embedding(num_items, width)
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=std)

    def tables(self) -> tuple[Tensor, Tensor]:
        """The two tables."""
        return self.user.weight, self.item.weight
