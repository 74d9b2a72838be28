"""Hidden features of another kind of input, then labels."""

from __future__ import annotations

import graphkd
from tests.schemes.domains.modalities import scene


def test_features_then_labels():
    data, student, teacher = scene()
    result = graphkd.distil("supervision_transfer", student, teacher, data, hidden="first", epochs=80, progress=False)
    terms = {report["stage"]: set(report) for report in result.history}
    assert "fitnet" in terms["hint"]
    assert "ce" not in terms["hint"]
    assert "ce" in terms["labels"]
    assert "fitnet" not in terms["labels"]
    hits = (result.model(data.x).argmax(dim=1) == data.y)[data.train_mask].float().mean()
    assert hits > 0.7
