"""Triplets: the formula, one triplet at a time."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from graphkd.losses import TripletOrder, triplet_hinge, triplet_order
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, distance


@pytest.mark.parametrize("margin", [0.0, 0.2, 3.0])
def test_triplet_hinge(margin):
    negative = TEACHER.flip(0)
    want = sum(max(0.0, distance(STUDENT[i], TEACHER[i]) - distance(STUDENT[i], negative[i]) + margin) for i in NODES)
    assert_value(triplet_hinge(STUDENT, TEACHER, negative, margin), want / 5)


@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_triplet_order(margin):
    hinges = []
    for a in NODES:
        for near in NODES:
            for far in NODES:
                different = len({a, near, far}) == 3
                ordered = distance(WIDE_TEACHER[a], WIDE_TEACHER[near]) < distance(WIDE_TEACHER[a], WIDE_TEACHER[far])
                if different and ordered:
                    gap = distance(STUDENT[a], STUDENT[near]) - distance(STUDENT[a], STUDENT[far])
                    hinges.append(max(0.0, gap + margin))
    assert len(hinges) == 5 * 6
    assert_value(triplet_order(STUDENT, WIDE_TEACHER, margin), sum(hinges) / len(hinges))
    assert_value(TripletOrder(margin)(STUDENT, WIDE_TEACHER), sum(hinges) / len(hinges))


def test_ties_do_not_count():
    assert triplet_order(STUDENT, torch.ones_like(TEACHER)) == 0


def test_triplets_of_some_rows():
    """Three drawn rows make three triplets, of which each has its mirror left out."""
    torch.manual_seed(0)
    rows = torch.randperm(5)[:3]
    torch.manual_seed(0)
    got = triplet_order(STUDENT, TEACHER, max_samples=3)
    torch.testing.assert_close(got, triplet_order(STUDENT[rows], TEACHER[rows]))


class TestTripletOrder(Behaviour):
    cases: ClassVar = {
        "TripletOrder": Case(TripletOrder, widths=(3, 4)),
    }
