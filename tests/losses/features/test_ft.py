"""Factor transfer: the formula, one factor at a time, and its first stage."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import FT, Paraphraser, factor_transfer
from graphkd.losses.features.ft import ft_method
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, approx, assert_value, dot, unit
from tests.losses.methods import problem
from tests.losses.scene import OTHER_WIDTH


def error(student, teacher, power):
    pairs = [(a, b) for row, twin in zip(student, teacher, strict=True) for a, b in zip(row, twin, strict=True)]
    return sum(abs(a - b) ** power for a, b in pairs) / len(pairs)


def through(layers, row):
    """Linear maps and leaky ReLUs, in turns."""
    for linear in layers[::2]:
        row = [dot(w, row) + float(b) for w, b in zip(linear.weight.detach(), linear.bias.detach(), strict=True)]
        row = [value if value > 0 else 0.1 * value for value in row]
    return row


# ---------------------------------------------------------------- definitions
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_factor_transfer(power):
    want = error([unit(row) for row in STUDENT], [unit(row) for row in TEACHER], power)
    assert_value(factor_transfer(STUDENT, TEACHER, power), want)
    assert_value(factor_transfer(STUDENT[:, :, None, None], TEACHER[:, :, None, None], power), want)


@pytest.mark.parametrize(("collapse", "power"), [(2.0, 1.0), (3.0, 2.0)])
def test_collapsed_factors(collapse, power):
    """RepDistiller's: channels are averaged first, what is left are positions."""
    student, teacher = torch.stack([STUDENT, TEACHER]), torch.stack([WIDE_TEACHER, 2 * WIDE_TEACHER])
    maps = [
        [[sum(float(v) ** collapse for v in row) / len(row) for row in x] for x in side] for side in (student, teacher)
    ]
    want = error(*([unit(row) for row in side] for side in maps), power)
    assert_value(factor_transfer(student, teacher, power, collapse=collapse), want)


def test_translated_and_paraphrased():
    torch.manual_seed(0)
    loss = FT(3, 5, rate=0.8).double()
    assert loss.paraphraser.factors == 4
    student = [unit(through(loss.translator, STUDENT[i])) for i in NODES]
    teacher = [unit(through(loss.paraphraser.encoder, WIDE_TEACHER[i])) for i in NODES]
    assert_value(loss(STUDENT, WIDE_TEACHER), error(student, teacher, 1.0))


def test_paraphraser_reconstructs():
    torch.manual_seed(0)
    paraphraser = Paraphraser(5).double()
    assert paraphraser.factors == 2
    want = [through(paraphraser.decoder, through(paraphraser.encoder, row)) for row in WIDE_TEACHER]
    torch.testing.assert_close(paraphraser(WIDE_TEACHER), approx(want))


# ---------------------------------------------------------------- the first stage
def test_fitting_the_paraphraser():
    """It learns to reconstruct, and is frozen afterwards as before; its weights are in the checkpoint."""
    torch.manual_seed(0)
    loss = FT(3, 5, rate=0.6).double()
    before = [parameter.clone() for parameter in loss.paraphraser.parameters()]
    first = loss.fit_paraphraser(WIDE_TEACHER.abs(), epochs=1, lr=0.01)
    last = loss.fit_paraphraser(WIDE_TEACHER.abs(), epochs=100, batch_size=2, lr=0.01)
    assert last < 0.8 * first
    assert not any(torch.equal(a, b) for a, b in zip(before, loss.paraphraser.parameters(), strict=True))
    assert not any(parameter.requires_grad for parameter in loss.paraphraser.parameters())
    assert all(parameter.requires_grad for parameter in loss.translator.parameters())
    assert {name.split(".")[0] for name in loss.state_dict()} == {"paraphraser", "translator"}


def test_numbers_of_factors_differ():
    with pytest.raises(ValueError, match="'teacher' must have 3 factors, as 'student', got 5"):
        factor_transfer(STUDENT, WIDE_TEACHER)


def test_the_method_fits_the_paraphraser_first():
    given = problem()
    torch.manual_seed(0)
    weight, loss = list(ft_method(given, rate=0.25).parts())[1]
    torch.manual_seed(0)
    want = FT(8, 16, rate=0.25)
    want.fit_paraphraser(given.view_of(given.teacher, "hidden"))
    assert weight == 500
    assert all(torch.equal(a, b) for a, b in zip(loss.state_dict().values(), want.state_dict().values(), strict=True))


class TestFT(Behaviour):
    cases: ClassVar = {
        "FT": Case(partial(FT, 3, 5), (3, 5), refused_width=OTHER_WIDTH),
        "FT_squared": Case(partial(FT, 3, 3, rate=1.5, power=2.0), refused_width=OTHER_WIDTH),
    }
