"""Hint, contrast and adversary: the sum of its parts, and a student by its name."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd.losses import CAKD, FitNet, InfoNCE
from tests.losses.example import STUDENT, WIDE_TEACHER
from tests.losses.regression.scene import Net, distilled, rows


def test_the_sum_of_its_parts():
    torch.manual_seed(0)
    loss = CAKD(3, 5, contrast=0.3, adversary=0.7, temperature=0.4).double()
    shown = loss.projector(STUDENT)
    want = FitNet()(shown, WIDE_TEACHER) + 0.3 * InfoNCE(0.4)(shown, WIDE_TEACHER)
    want = want + 0.7 * loss.play(shown, WIDE_TEACHER)
    torch.testing.assert_close(loss(STUDENT, WIDE_TEACHER), want)


def test_a_student_learns_beside_it():
    data = rows()
    result = distilled("cakd", Net(2, 6), Net(1), data, epochs=80)
    assert {"squarederror", "cakd"} < set(result.history[0])
    assert result.history[-1]["squarederror"] < 0.3 * result.history[0]["squarederror"]
    with pytest.raises(ValueError, match="'cakd' is for regression"):
        graphkd.distil("cakd", Net(2), Net(1), {**data, "train_mask": torch.ones(60).bool()}, hidden="first")
