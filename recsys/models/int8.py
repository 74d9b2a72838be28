"""Tables of int8: one byte an entry and one scale a row, a quarter of the memory of float32."""

from __future__ import annotations

import torch
from torch import Tensor

from recsys.models.finite import check_finite
from recsys.models.tables import Tables

_MOST = 127


class Int8Tables(Tables):
    """Hold two tables of int8 with a float32 scale a row: entry x of a row stands for x · scale.

    Scores are those of the rounded tables in float32; an entry's error is at most half the scale of its row.
    ``recsys.serve.export`` measures the loss of recall on your data and writes it into the card. For lists, rows are
    converted to float32 block by block, so that no float32 table is stored; this takes more time than float32 tables.
    Raises TypeError for tables or scales of other types or shapes.
    """

    user_scale: Tensor
    item_scale: Tensor

    def __init__(
        self, user: Tensor, user_scale: Tensor, item: Tensor, item_scale: Tensor, *, padding: bool = False
    ) -> None:
        for name, table, scale in (("user", user, user_scale), ("item", item, item_scale)):
            if table.dtype != torch.int8 or scale.dtype != torch.float32 or scale.shape != table.shape[:1]:
                raise TypeError(
                    f"{name!r} must be a table of int8 with a float32 scale a row, got {table.dtype} "
                    f"{list(table.shape)} and {scale.dtype} {list(scale.shape)}"
                )
        super().__init__(user.to("meta").float(), item.to("meta").float(), padding=padding)  # checks their shapes
        for name, held in (("user", user), ("user_scale", user_scale), ("item", item), ("item_scale", item_scale)):
            self.register_buffer(name, held)

    @classmethod
    def of(cls, tables: Tables) -> Int8Tables:
        """Round tables to the nearest integers, each row scaled by its largest entry; rows of zeros stay zero.

        Example::

            small = Int8Tables.of(tables_of(model))
        """
        user, item = (_rounded(table) for table in tables.tables())
        return cls(*user, *item, padding=tables.padding)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the two tables in float32."""
        return self.user * self.user_scale[:, None], self.item * self.item_scale[:, None]

    def users_at(self, users: Tensor) -> Tensor:
        """Return rows of some users in float32, (B,) -> (B, d)."""
        return self.user[users] * self.user_scale[users, None]

    def scores_of(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Score the items from ``start`` to before ``stop`` for query vectors, (B, d) -> (B, stop - start)."""
        return (queries @ self.item[start:stop].to(queries.dtype).T) * self.item_scale[start:stop]

    def check_finite(self) -> None:
        """Raise ValueError that counts NaN and infinite scales, padding rows apart."""
        for name, scale in (("user", self.user_scale), ("item", self.item_scale)):
            check_finite(scale[int(self.padding) :], f"'tables' must be finite, but of the {name} scales")


def _rounded(table: Tensor) -> tuple[Tensor, Tensor]:
    wide = table.detach().float()
    scale = wide.abs().amax(dim=1) / _MOST
    return (wide / scale.clamp(min=torch.finfo(torch.float32).tiny)[:, None]).round().to(torch.int8), scale
