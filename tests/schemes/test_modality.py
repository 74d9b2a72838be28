"""Students that lack an input of their teacher's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graphkd import Frozen
from graphkd.losses import CE, FitNet
from graphkd.schemes import hallucination, supervision_transfer
from tests.core.models import CLASSES, FEATURES, graph

TAPS, WIDTHS = ("first", "first"), (6, 8)


class Net(nn.Module):
    """Two layers."""

    def __init__(self, width, hidden, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.last = nn.Linear(width, hidden), nn.Linear(hidden, CLASSES)


class OfBoth(Net):
    def forward(self, x, text):
        return self.last(self.first(torch.cat([x, text], dim=1)).relu())


class OfOne(Net):
    def forward(self, x):
        return self.last(self.first(x).relu())


def scene():
    data = graph()
    data.text = torch.randn(30, 4, generator=torch.Generator().manual_seed(1))
    return data, OfOne(FEATURES, 6, 1), OfBoth(FEATURES + 4, 8, 2)


def hint(student, teacher, data):
    """How well a linear map brings the student's features to the teacher's."""
    s = torch.cat([student.first(data.x), torch.ones(30, 1)], dim=1).detach()
    t = teacher.first(torch.cat([data.x, data.text], dim=1)).detach()
    return float((s @ torch.linalg.lstsq(s, t).solution - t).square().mean())


def test_supervision_transfer_learns_features_then_labels(monkeypatch):
    from graphkd.schemes import modality

    data, student, teacher = scene()
    fitted, stages = modality.fit, []

    def watched(task, batch, **options):
        stages.append([type(loss) for loss in task.losses])
        return fitted(task, batch, **options)

    monkeypatch.setattr(modality, "fit", watched)
    found = supervision_transfer(student, teacher, data, TAPS, WIDTHS, epochs=80)
    assert found is student
    assert stages == [[FitNet], [CE]]
    hits = (student(data.x).argmax(dim=1) == data.y)[data.train_mask].float().mean()
    assert hits > 0.8


def test_hallucination_needs_the_student_s_own_input_alone():
    data, student, teacher = scene()
    before = hint(student, teacher, data)
    found = hallucination(student, Frozen(teacher), data, TAPS, WIDTHS, share=0.1, epochs=60)
    assert found(data.x).shape == (30, CLASSES)
    assert hint(student, teacher, data) <= before + 1e-6
    want = teacher(data.x, data.text).argmax(dim=1)
    other = scene()[1]
    hallucination(other, teacher, data, TAPS, WIDTHS, share=1.0, weight=1.0, temperature=1.0, epochs=200)
    assert (other(data.x).argmax(dim=1) == want).float().mean() > 0.8
    with pytest.raises(ValueError, match=r"'share' must be in \[0, 1\], got 2"):
        hallucination(student, teacher, data, TAPS, WIDTHS, share=2, epochs=1)
