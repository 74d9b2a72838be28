"""A student that lacks an input of its teacher's."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Frozen
from tests.core.models import CLASSES
from tests.schemes.domains.modalities import scene


def hint(student, teacher, data):
    """How well a linear map brings the student's features to the teacher's."""
    s = torch.cat([student.first(data.x), torch.ones(30, 1)], dim=1).detach()
    t = teacher.first(torch.cat([data.x, data.modality], dim=1)).detach()
    return float((s @ torch.linalg.lstsq(s, t).solution - t).square().mean())


def test_it_needs_the_student_s_own_input_alone():
    data, student, teacher = scene()
    options = {"hidden": "first", "progress": False}
    found = graphkd.distil("hallucination", student, Frozen(teacher), data, share=0.1, epochs=60, **options).model
    assert found(data.x).shape == (30, CLASSES)
    assert hint(found, teacher, data) <= hint(student, teacher, data) + 1e-6
    want = teacher(data.x, data.modality).argmax(dim=1)
    del data.val_mask  # to the last epoch
    settings = {"share": 1.0, "weight": 1.0, "temperature": 1.0, "epochs": 200}
    other = graphkd.distil("hallucination", student, teacher, data, **settings, **options).model
    assert (other(data.x).argmax(dim=1) == want).float().mean() > 0.8
    with pytest.raises(ValueError, match=r"'share' must be in \[0, 1\], got 2"):
        graphkd.distil("hallucination", student, teacher, data, share=2, **options)
