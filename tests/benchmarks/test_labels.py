"""No method of the GNN benchmark learns from labels of test nodes: with others there, the same student comes out."""

from __future__ import annotations

import pytest
import torch

from benchmarks.graph.methods import METHODS
from graphkd.tasks import predict
from tests.benchmarks.scenes import mlp_lesson
from tests.core.models import CLASSES, graph


@pytest.mark.parametrize("name", METHODS)
def test_labels_of_test_nodes_are_not_read(name):
    data, other = graph(), graph()
    other.y = torch.where(other.test_mask, (other.y + 1) % CLASSES, other.y)
    assert not torch.equal(data.y, other.y)
    one, two = (METHODS[name](mlp_lesson(each)) for each in (data, other))
    assert torch.equal(predict(one, data), predict(two, data))
    for key, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[key]), key
