"""Teacher outlier rejection: the formula, one node at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch
from torch import nn

from graphkd.losses import OutlierRejection, is_inlier, outlier_rejection
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import NODES, STUDENT, TARGETS, TEACHER, assert_value
from tests.losses.regression.scene import Net, distilled, rows
from tests.losses.regression.test_teacher_bounded import numbers, squared
from tests.losses.scene import SAME_WIDTH


def test_outlier_rejection():
    other = STUDENT.flip(0)
    kept = [squared(TEACHER[i], TARGETS[i]) ** 0.5 <= 1.5 for i in NODES]
    total = sum(kept[i] * squared(STUDENT[i], TARGETS[i]) + 0.3 * squared(other[i], TEACHER[i]) for i in NODES) / 5
    assert {True, False} == set(kept)
    assert is_inlier(TEACHER, TARGETS, 1.5).tolist() == kept
    assert_value(outlier_rejection(STUDENT, other, TEACHER, TARGETS, threshold=1.5, weight=0.3), total)
    assert_value(OutlierRejection(1.5, 0.3)((STUDENT, other), (STUDENT, TEACHER), y=TARGETS), total)


def test_a_head_of_its_own():
    torch.manual_seed(0)
    loss = OutlierRejection(1.5, 0.3, head=nn.Linear(3, 3).double())
    want = outlier_rejection(STUDENT, loss.head(STUDENT.relu()), TEACHER, TARGETS, threshold=1.5, weight=0.3)
    torch.testing.assert_close(loss((STUDENT, STUDENT), (TEACHER, STUDENT), y=TARGETS), want)
    assert loss.on == ("logits", "hidden")


def headed(threshold, **options):
    torch.manual_seed(0)
    return OutlierRejection(threshold, head=nn.Linear(3, 3), **options)


class TestOutlierRejection(Behaviour):
    cases: ClassVar = {
        "OutlierRejection": Case(partial(OutlierRejection, 3.0), facts=numbers, refused_width=SAME_WIDTH),
        "with a head": Case(partial(headed, 3.0), facts=numbers, refused_width=SAME_WIDTH),
    }


def test_labels_far_from_the_teacher_teach_nothing():
    data, teacher = rows(), distilled("none", Net(1, 32), None, rows(), epochs=150).model
    noisy = {**data, "y": data["y"].clone()}
    noisy["y"][:6] += 20
    result = distilled("outlier_rejection", Net(2, 32), teacher, noisy, threshold=5.0, epochs=150)
    assert list(result.model.state_dict()) == list(teacher.state_dict())  # the second head is left behind
    left = (result.model(data["x"]) - data["y"]).square().mean()
    assert float(left.detach()) < 0.3  # 20 too much in a tenth of the rows would cost 4 at least
    plain = distilled("none", Net(2, 32), None, noisy, epochs=150).model
    assert (plain(data["x"]) - data["y"]).square().mean() > 1
    with pytest.raises(ValueError, match="needs the path of a hidden layer"):
        distilled("outlier_rejection", Net(2), teacher, noisy, hidden=None)
