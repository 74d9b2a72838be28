"""Attention transfer: the formula, one node and one coordinate at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import AT, attention_transfer
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, WIDE_TEACHER, assert_value, norm, unit


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_attention_transfer(power):
    attention = [unit([sum(abs(float(v)) ** power for v in row) for row in x]) for x in (STUDENT, WIDE_TEACHER)]
    want = sum((a - b) ** 2 for a, b in zip(*attention, strict=True)) / 5
    assert_value(attention_transfer(STUDENT, WIDE_TEACHER, power), want)
    assert_value(AT(power)(STUDENT, WIDE_TEACHER), want)
    assert_value(attention_transfer(STUDENT, WIDE_TEACHER, power, reduction="graphs"), 5 * want)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_attention_transfer_of_the_paper(power):
    """The norm of the difference, not its mean square."""
    attention = [unit([sum(abs(float(v)) ** power for v in row) for row in x]) for x in (STUDENT, WIDE_TEACHER)]
    want = norm([a - b for a, b in zip(*attention, strict=True)])
    assert_value(attention_transfer(STUDENT, WIDE_TEACHER, power, form="paper"), want)
    several = torch.stack([STUDENT, TEACHER]), torch.stack([TEACHER, TEACHER])
    assert_value(
        AT(power, form="paper")(*several), float(attention_transfer(STUDENT, TEACHER, power, form="paper")) / 2
    )


def test_attention_of_several_graphs():
    """Leading dimensions are graphs of equal size, each with a norm of its own."""
    student, teacher = torch.stack([STUDENT, 3 * TEACHER]), torch.stack([TEACHER, STUDENT])
    want = (attention_transfer(STUDENT, TEACHER) + attention_transfer(TEACHER, STUDENT)) / 2
    assert_value(AT()(student, teacher), float(want))
    assert_value(AT(reduction="graphs")(student, teacher), 5 * float(want))


def test_attention_does_not_see_the_scale():
    torch.testing.assert_close(AT()(7 * STUDENT, TEACHER), AT()(STUDENT, TEACHER))


def test_unknown_form():
    with pytest.raises(ValueError, match=r"'form' must be one of \('code', 'paper'\), got 'book'"):
        AT(form="book")
    with pytest.raises(ValueError, match=r"'reduction' is of form=\"code\""):
        AT(form="paper", reduction="graphs")


def lengths(student, teacher, batch):
    """How far the shares that nodes have in all of the energy are from each other."""
    one, other = (x.square().sum(dim=1) / x.square().sum() for x in (student, teacher))
    return (one - other).abs().sum()


class TestAT(Behaviour):
    cases: ClassVar = {
        "AT": Case(AT, (3, 5), distance=lengths),
        "AT_paper": Case(partial(AT, form="paper"), (3, 5), distance=lengths),
        "AT_linear": Case(partial(AT, 1.0), at_teacher="zero"),
    }
