"""For old classes: the formula, one number at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest

from graphkd.losses import CentredLogits, centred_logits
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value


@pytest.mark.parametrize(("classes", "count"), [(None, 3), (2, 2)])
def test_centred_logits(classes, count):
    student, total = WIDE_TEACHER.flip(0), 0.0
    for i in NODES:
        s, t = ([float(x) for x in side[i, :count]] for side in (student, TEACHER))
        gaps = [(a - sum(s) / count) - (b - sum(t) / count) for a, b in zip(s, t, strict=True)]
        total += sum(gap**2 for gap in gaps) / (5 * count)
    assert_value(centred_logits(student, TEACHER, classes), total)
    assert_value(CentredLogits(classes)(student, TEACHER), total)


def test_old_classes_that_are_not_there():
    with pytest.raises(ValueError, match="the old classes, 5, must be among those of both sides, got 3 and 5"):
        centred_logits(STUDENT, WIDE_TEACHER)
    with pytest.raises(ValueError, match="the old classes, 0, must be"):
        centred_logits(STUDENT, TEACHER, 0)


OLD = "the old classes, 4, must be among those of both sides, got 3 and 4"


class TestCentredLogits(Behaviour):
    cases: ClassVar = {
        "CentredLogits": Case(CentredLogits, at_teacher="zero", refused_width=OLD),
        "CentredLogits_old": Case(partial(CentredLogits, 2)),
    }
