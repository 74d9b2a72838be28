"""Alignment and self-training in turn."""

from __future__ import annotations

import pytest
import torch

import graphkd
from tests.core.models import gcn, graph
from tests.schemes.domains.scene import of_nodes


@pytest.mark.parametrize("name", ["bidirectional", "bidirectional_translated"])
def test_rounds(name):
    data = graph()
    options = {"domains": of_nodes(data), "rounds": 2, "threshold": 0.0, "epochs": 30, "progress": False}
    result = graphkd.distil(name, gcn(1), None, data, **options)
    stages = ["aligned-1", "self-trained-1", "aligned-2", "self-trained-2"]
    if name == "bidirectional_translated":
        stages.insert(2, "translator-2")
    assert list(dict.fromkeys(report["stage"] for report in result.history)) == stages
    assert result.history[30].keys() >= {"ce", "pseudolabel"}
    hits = (result.model(data.x, data.edge_index).argmax(dim=1) == data.y)[data.train_mask].float().mean()
    assert hits > 0.6
    with pytest.raises(ValueError, match="'rounds' must be at least 1, got 0"):
        graphkd.distil(name, gcn(1), None, data, **{**options, "rounds": 0})


def test_unsure_pseudo_labels_teach_nothing():
    data = graph()
    options = {"domains": of_nodes(data), "rounds": 1, "epochs": 5, "progress": False}
    terms = []
    for threshold in (0.0, 1.1):
        result = graphkd.distil("bidirectional", gcn(1), None, data, threshold=threshold, **options)
        terms.append([report["pseudolabel"] for report in result.history if "pseudolabel" in report])
    assert all(value > 0 for value in terms[0])
    assert torch.tensor(terms[1]).eq(0).all()
