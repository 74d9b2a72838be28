"""Soft targets whose weight falls: the schedule, and FitNets' two stages."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest

from graphkd import Distiller, Frozen
from graphkd.losses import FadingKL, kl
from tests.losses.behaviour import Behaviour, Case, Show
from tests.losses.example import STUDENT, TEACHER, assert_value
from tests.losses.scene import SAME_WIDTH


@pytest.mark.parametrize(("epochs", "weights"), [(4, (4.0, 3.0, 2.0, 1.0)), (1, (4.0,))])
def test_the_weight_falls_linearly(epochs, weights):
    loss, value = FadingKL().double(), float(kl(STUDENT, TEACHER, 3.0))
    for epoch, weight in enumerate(weights):
        loss.set_epoch(epoch, epochs)
        assert_value(loss(STUDENT, TEACHER), weight * value)
        assert_value(loss(STUDENT, loss.digest(TEACHER)), weight * value)


def test_the_weight_is_known_after_a_restart():
    distiller, twin = (
        Distiller(Show(STUDENT, "logits"), Frozen(Show(TEACHER, "logits")), FadingKL().double()) for _ in range(2)
    )
    distiller.set_epoch(3, 4)
    twin.load_state_dict(distiller.state_dict())
    assert_value(twin({}).loss, float(kl(STUDENT, TEACHER, 3.0)))


class TestFadingKL(Behaviour):
    cases: ClassVar = {
        "FadingKL": Case(partial(FadingKL, 2.0, first=3.0), at_teacher="zero", refused_width=SAME_WIDTH),
    }
