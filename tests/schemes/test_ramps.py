"""Ramps: the formulas and their ends."""

import math

import pytest

from graphkd.schemes import cosine_rampdown, linear_rampup, sigmoid_rampup

EPOCHS = [0, 1, 17.5, 40, 79, 80]


@pytest.mark.parametrize("epoch", EPOCHS)
def test_formulas(epoch):
    assert sigmoid_rampup(epoch) == pytest.approx(math.exp(-5 * (1 - epoch / 80) ** 2))
    assert linear_rampup(epoch) == pytest.approx(epoch / 80)
    assert cosine_rampdown(epoch) == pytest.approx(0.5 + 0.5 * math.cos(math.pi * epoch / 80))


@pytest.mark.parametrize("ramp", [sigmoid_rampup, linear_rampup])
def test_beyond_the_ends(ramp):
    assert ramp(-3, 10) == ramp(0, 10)
    assert ramp(10, 10) == ramp(1000, 10) == 1
    assert ramp(0, 0) == 1


def test_a_fall_that_is_over():
    assert cosine_rampdown(-3, 10) == cosine_rampdown(0, 10) == 1
    assert cosine_rampdown(10, 10) == cosine_rampdown(1000, 10) == cosine_rampdown(0, 0) == 0
