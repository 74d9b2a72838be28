"""Directions of hidden states: the formula, one node at a time."""

from __future__ import annotations

from typing import ClassVar

import torch

from graphkd.losses import HiddenCosine, hidden_cosine
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, assert_value, dot, unit
from tests.losses.scene import SAME_WIDTH


def test_hidden_cosine():
    want = sum(1 - dot(unit(s), unit(t)) for s, t in zip(STUDENT, TEACHER, strict=True)) / 5
    assert_value(hidden_cosine(STUDENT, TEACHER), want)
    assert_value(HiddenCosine()(3 * STUDENT, TEACHER), want)


def angles(student, teacher, batch):
    """Sum of one minus the cosine of the two features of a node."""
    return (1 - torch.cosine_similarity(student, teacher, dim=1)).sum()


class TestHiddenCosine(Behaviour):
    cases: ClassVar = {
        "HiddenCosine": Case(HiddenCosine, at_teacher="zero", distance=angles, refused_width=SAME_WIDTH),
    }
