"""Held-out rows with labels of their own, as RecBole's mode "labeled" measures them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from recsys.data.interactions import Split


class LabelledRows(NamedTuple):
    """Users, items and labels of rows, (n,) each; a pair may occur several times."""

    users: Tensor
    items: Tensor
    labels: Tensor


@dataclass(frozen=True)
class LabelledSplit(Split):
    """A split whose held-out rows have labels: ``valid_rows`` and ``test_rows``, None where a part has none."""

    valid_rows: LabelledRows | None = None
    test_rows: LabelledRows | None = None
