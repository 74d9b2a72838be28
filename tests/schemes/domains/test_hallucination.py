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


def test_both_streams_need_the_student_s_own_input_alone():
    data, student, teacher = scene()
    options = {"hidden": "first", "progress": False}
    result = graphkd.distil("hallucination", student, Frozen(teacher), data, share=0.1, epochs=60, **options)
    own, other = result.model.models
    want = torch.stack([own(data.x), other(data.x)]).softmax(dim=-1).mean(dim=0).log()
    assert want.shape == (30, CLASSES)
    torch.testing.assert_close(result.model(data.x), want)
    assert hint(other, teacher, data) <= hint(student, teacher, data) + 1e-6
    terms = {report["stage"]: set(report) & {"ce", "fitnet", "kl"} for report in result.history}
    assert terms == {"own": {"ce"}, "hallucination": {"ce", "fitnet", "kl"}, "fused": {"ce"}}
    with pytest.raises(ValueError, match=r"'share' must be in \[0, 1\], got 2"):
        graphkd.distil("hallucination", student, teacher, data, share=2, **options)
