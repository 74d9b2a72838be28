"""VCD: each view's code with the other's observation."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd import Ensemble
from graphkd.core.batches import changed
from graphkd.losses import VCD, vcd, vsd
from graphkd.losses.information.vcd import _masked, _views
from tests.core.models import gcn, graph
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, assert_value
from tests.losses.methods import trained
from tests.losses.scene import SAME_WIDTH


def test_vcd_crosses_the_views():
    codes, observations = (STUDENT, STUDENT.flip(0)), (TEACHER, TEACHER.roll(1, 0))
    want = vsd(STUDENT, TEACHER.roll(1, 0)) + vsd(STUDENT.flip(0), TEACHER)
    assert_value(vcd(codes, observations), float(want))


def test_refusals():
    with pytest.raises(ValueError, match=r"'temperature' must be positive, got 0"):
        VCD(0)


# ---------------------------------------------------------------- the method
def test_the_method_shows_two_views():
    """What a model says of the batch, and of two sets of features in their place."""
    model, data = gcn(1), graph()
    views = {"first": data.x.flip(0), "second": 2 * data.x}
    shown = _views(None)(model, changed(data, **views))
    assert torch.equal(shown["logits"], model(data.x, data.edge_index))
    for name, x in views.items():
        assert torch.equal(shown[name], model(x, data.edge_index))


def test_the_method_masks_columns():
    masked = _masked(torch.ones(4, 1000), 0.2)
    assert torch.equal(masked, masked[:1].expand(4, 1000))
    assert 740 < masked[0].sum() < 860  # 5 deviations


def test_the_method_refuses():
    with pytest.raises(ValueError, match=r"'rate' must be at least 0 and below 1, the share of .*, got 1\.0"):
        trained("vcd", rate=1.0)
    with pytest.raises(ValueError, match="'vcd' cannot take an Ensemble as teacher: it asks one model"):
        trained("vcd", teacher=Ensemble([gcn(2), gcn(3)]))


class TestVCD(Behaviour):
    cases: ClassVar = {
        "VCD": Case(partial(VCD, 2.0), at_teacher="zero", refused_width=SAME_WIDTH),
    }
