"""Selectivity of channels: the formula, one channel at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import NST, neuron_selectivity
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot, unit


def discrepancy(student, teacher, kernel):
    s, t = ([unit(channel) for channel in x.t()] for x in (student, teacher))

    def mean(one, other):
        return sum(kernel(dot(a, b)) for a in one for b in other) / (len(one) * len(other))

    return mean(s, s) + mean(t, t) - 2 * mean(s, t)


@pytest.mark.parametrize(("degree", "offset"), [(2, 0.0), (1, 0.0), (3, 0.5)])
def test_neuron_selectivity(degree, offset):
    want = discrepancy(STUDENT, WIDE_TEACHER, lambda product: (product + offset) ** degree)
    assert_value(neuron_selectivity(STUDENT, WIDE_TEACHER, degree=degree, offset=offset), want)
    assert_value(NST(degree, offset)(STUDENT, WIDE_TEACHER), want)


def test_neuron_selectivity_of_several_graphs():
    several = torch.stack([STUDENT, TEACHER]), torch.stack([TEACHER, TEACHER])
    assert_value(NST()(*several), float(NST()(STUDENT, TEACHER)) / 2)


def test_neuron_selectivity_sees_neither_order_nor_scale_of_channels():
    changed = STUDENT[:, [2, 0, 1]] * torch.tensor([2.0, 0.5, 7.0])
    torch.testing.assert_close(NST()(changed, TEACHER), NST()(STUDENT, TEACHER))


class TestNST(Behaviour):
    cases: ClassVar = {
        "NST": Case(NST, (3, 5)),
        "NST_equal_widths": Case(partial(NST, 3, 0.5), at_teacher="zero"),
    }
