"""Tables of whole numbers: a byte an entry and a scale a row, a quarter of the memory."""

from __future__ import annotations

import torch
from torch import Tensor

from recsys.models.finite import check_finite
from recsys.models.tables import Tables

_MOST = 127


class Int8Tables(Tables):
    """Two tables of int8 with a float32 scale a row: entry x of a row is read as x · scale.

    Scores are those of the rounded tables in float32; a row's largest error is half its scale. Ask for a figure on your
    data: ``recsys.serve.export`` writes the loss of recall into the card. Rows are widened block by block where lists
    are made, so that no float32 table is held, which takes more time than the products of float32 tables.
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
        """Round tables to the nearest, each row by its largest entry; a row of zeros stays one.

        Example::

            small = Int8Tables.of(tables_of(model))
        """
        user, item = (_rounded(table) for table in tables.tables())
        return cls(*user, *item, padding=tables.padding)

    def tables(self) -> tuple[Tensor, Tensor]:
        """The two tables in float32."""
        return self.user * self.user_scale[:, None], self.item * self.item_scale[:, None]

    def users_at(self, users: Tensor) -> Tensor:
        """Rows of some users in float32, (B,) -> (B, d)."""
        return self.user[users] * self.user_scale[users, None]

    def scores_of(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Scores of the items from ``start`` to before ``stop`` for query vectors, (B, d) -> (B, stop - start)."""
        return (queries @ self.item[start:stop].to(queries.dtype).T) * self.item_scale[start:stop]

    def check_finite(self) -> None:
        """Raise ValueError that counts the scales which are NaN or infinite, the padding rows apart."""
        for name, scale in (("user", self.user_scale), ("item", self.item_scale)):
            check_finite(scale[int(self.padding) :], f"'tables' must be finite, but of the {name} scales")


def _rounded(table: Tensor) -> tuple[Tensor, Tensor]:
    wide = table.detach().float()
    scale = wide.abs().amax(dim=1) / _MOST
    return (wide / scale.clamp(min=torch.finfo(torch.float32).tiny)[:, None]).round().to(torch.int8), scale
