"""A teacher of one kind of input labels rows for a student of two."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd.core.batches import changed
from graphkd.losses import CE
from graphkd.schemes import SteadyDistiller, mask_features
from tests.schemes.domains.modalities import scene


def test_a_steady_student_answers_alike():
    data, student, _ = scene()
    other = changed(data, x=2 * data.x)
    distiller = SteadyDistiller(student, losses=CE(where="train_mask"), change=lambda _: other, weight=3.0)
    step = distiller(data)
    p, q = (student(batch.x).softmax(dim=1) for batch in (data, other))
    want = sum(float((p[i] - q[i]).square().sum().detach()) for i in range(30)) / 30
    assert float(step.terms["steady"]) == pytest.approx(want, rel=1e-5)
    assert float(step.loss.detach()) == pytest.approx(float(step.terms["ce"]) + 3 * want, rel=1e-5)


def expanded(**settings):
    """A student of both inputs, whose second the data do not have."""
    data, teacher, student = scene()
    modality = data.modality
    del data.modality, data.val_mask  # to the last epoch
    options = {"modality": modality, "progress": False, **settings}
    return graphkd.distil("multimodal_expansion", student, teacher, data, **options).model, teacher, data, modality


def test_a_teacher_of_one_kind_labels_for_a_student_of_both():
    student, teacher, data, modality = expanded(gamma=0.1, epochs=150)
    labels = teacher(data.x).argmax(dim=1).detach()
    said = student(data.x, modality).argmax(dim=1)
    assert (said == labels)[~data.train_mask].float().mean() > 0.8
    assert (said == data.y)[data.train_mask].float().mean() > 0.8
    assert "modality" not in data


def test_gamma_makes_it_steady():
    gaps = []
    for gamma in (0.0, 10.0):
        student, _, data, modality = expanded(gamma=gamma, epochs=80)
        torch.manual_seed(0)
        one, other = (student(batch.x, modality).softmax(dim=1) for batch in (data, mask_features(data, 0.5)))
        gaps.append(float((one - other).square().sum(dim=1).mean().detach()))
    assert gaps[1] < gaps[0]


def test_a_modality_of_other_rows():
    data, teacher, student = scene()
    with pytest.raises(ValueError, match=r"a row for each of 30 nodes, \(N, F\), got \(20, 4\)"):
        graphkd.distil("multimodal_expansion", student, teacher, data, modality=torch.zeros(20, 4), epochs=1)
