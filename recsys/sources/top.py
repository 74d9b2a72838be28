"""Fixed lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from recsys.data.lists import Lists
from recsys.sources._common import Per, check_per, look_up, rows_of


class TopLists:
    """Fixed lists by name, tables (U, K): for static RD, RRD's top K without sampling, HetComp's ``tops``, ``known``.

    per: a list for every "row" of the batch, or for every distinct "user".
    """

    def __init__(self, tables: Mapping[str, Tensor], *, per: Per = "user") -> None:
        self.tables, self.per = dict(tables), check_per(per)

    def resample(self) -> None:
        """Do nothing: fixed lists are not drawn."""

    def lists(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        """Return the lists of the batch's users."""
        users = rows_of(batch, self.per)
        return {name: look_up(table, users) for name, table in self.tables.items()}
