"""Fixed lists."""

from __future__ import annotations

import torch

from recsys.sources import TopLists
from tests.recsys.sources.drawing import batch_of


def test_fixed_lists(pairs):
    table = torch.arange(60, dtype=torch.int32).view(30, 2) % 40
    batch = batch_of(pairs, TopLists({"tops": table}, per="row"))
    assert torch.equal(batch["tops"].items, table[batch["users"]].long())
