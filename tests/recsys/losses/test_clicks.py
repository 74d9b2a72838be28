"""The loss of clicks against its formula."""

from __future__ import annotations

import pytest

from recsys.losses import Clicks
from recsys.losses.clicks import click_loss
from tests.recsys.losses.examples import bce, clicks


def test_click_loss_is_its_formula() -> None:
    student, _, y = clicks()
    want = sum(bce(q, x) for q, x in zip(y.tolist(), student.tolist(), strict=True)) / 5
    assert float(click_loss(student, y)) == pytest.approx(want)
    assert float(Clicks()(student, y=y.bool())) == pytest.approx(want)
