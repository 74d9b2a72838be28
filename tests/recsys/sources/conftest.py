"""Pairs, and a teacher of them."""

from __future__ import annotations

import pytest
import torch

from recsys.models import MF
from tests.recsys.laws import toy


@pytest.fixture(params=[False, True], ids=["all", "padded"])
def pairs(request):
    return toy(padding=request.param)


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    return MF(30, 40, 4, std=1.0)
