"""KDCRec's bridge against its formula."""

from __future__ import annotations

import pytest
import torch

from recsys.losses import Bridge
from tests.recsys.losses.ratings import ITEMS, B, entries, example


def test_bridge_keeps_the_zeros_in_its_mean() -> None:
    student, teacher, _ = example()
    coin = (torch.arange(15) % 2).view(B, ITEMS).double()
    want = sum(float(coin[u, i]) * float(student[u, i] - teacher[u, i]) ** 2 for u, i in entries()) / 15
    assert float(Bridge()(student, teacher, sampled=coin)) == pytest.approx(want)
