"""Students that lack an input of their teacher's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graphkd import Frozen
from graphkd.losses import CE, FitNet
from graphkd.schemes import (
    SteadyDistiller,
    changed,
    hallucination,
    mask_features,
    multimodal_expansion,
    supervision_transfer,
)
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


# ------------------------------------------------------------- expansion
def test_a_steady_student_answers_alike():
    data, student, _ = scene()
    other = changed(data, x=2 * data.x)
    task = SteadyDistiller(student, losses=CE(where="train_mask"), change=lambda _: other, weight=3.0)
    step = task(data)
    p, q = (student(batch.x).softmax(dim=1) for batch in (data, other))
    want = sum(float((p[i] - q[i]).square().sum().detach()) for i in range(30)) / 30
    assert float(step.terms["steady"]) == pytest.approx(want, rel=1e-5)
    assert float(step.loss.detach()) == pytest.approx(float(step.terms["ce"]) + 3 * want, rel=1e-5)


def test_a_teacher_of_one_modality_labels_for_a_student_of_both():
    data, teacher, student = scene()
    labels = teacher(data.x).argmax(dim=1).detach()
    found = multimodal_expansion(student, teacher, data, change=mask_features, gamma=0.1, epochs=150)
    assert found is student
    agree = student(data.x, data.text).argmax(dim=1) == labels
    assert agree[~data.train_mask].float().mean() > 0.8
    hits = student(data.x, data.text).argmax(dim=1) == data.y
    assert hits[data.train_mask].float().mean() > 0.8


def test_gamma_makes_it_steady():
    rates = []
    for gamma in (0.0, 10.0):
        data, teacher, student = scene()
        multimodal_expansion(student, teacher, data, change=mask_features, gamma=gamma, epochs=80)
        torch.manual_seed(0)
        one, other = (student(batch.x, data.text).softmax(dim=1) for batch in (data, mask_features(data, 0.5)))
        rates.append(float((one - other).square().sum(dim=1).mean().detach()))
    assert rates[1] < rates[0]
