"""Two tasks: whose features bind the student, which labels it reads, and what serves."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.nn import GCN

import graphkd
from graphkd import Frozen
from graphkd.losses import kd4mtl
from graphkd.schemes.teachers.kd4mtl import TaskFeatures
from tests.core.models import FEATURES, gcn, graph


def tasks():
    """A graph, labels of a second task, and a teacher of it."""
    data = graph()
    torch.manual_seed(4)
    return data, torch.where(data.train_mask, torch.arange(30) % 5, -1), GCN(FEATURES, 12, 2, 5)


def test_each_teacher_shows_its_own_layer():
    data, _, other = tasks()
    features = TaskFeatures({"own": gcn(2), "other": other}, 5)
    view = features(data, {"own": "convs.0", "other": "convs.1"})
    assert torch.equal(view["other"], Frozen(other)(data)["logits"])
    assert view["own"].shape == (30, 8)
    features.attach({"own": "convs.0", "other": "convs.0"})
    with pytest.raises(ValueError, match="none"):
        features.attach({"own": "convs.0", "other": "none"})


def test_labels_of_the_second_task_stand_beside_the_features():
    data, second, other = tasks()
    data.second = second
    view = TaskFeatures({"own": gcn(2), "other": other}, 5)(data, {"own": "convs.0", "other": "convs.0"})
    known = second >= 0
    assert torch.equal(view["second"].argmax(dim=1)[known], second[known])


@pytest.mark.parametrize("heads", [False, True])
def test_both_tasks_are_learnt(heads):
    data, second, other = tasks()
    options = {"hidden": "convs.0", "epochs": 80, "progress": False, "other_teacher": other, "second": second}
    del data.val_mask  # to the last epoch
    result = graphkd.distil("kd4mtl", gcn(1, width=16), gcn(2), data, heads=heads, **options)
    for term in ("labels", "second", "own", "other"):
        assert result.history[-1][term] < result.history[0][term]
    answer = result.model(data.x, data.edge_index)
    assert (set(answer) == {"logits", "second"}) if heads else answer.shape == (30, 3)
    assert 0 <= result.scores["test"]["accuracy"] <= 1


def test_the_terms_are_those_of_the_loss():
    data, second, other = tasks()
    options = {"hidden": "convs.0", "epochs": 1, "progress": False, "second": second}
    one, two = (
        graphkd.distil("kd4mtl", gcn(1), gcn(2), data, other_teacher=each, **options).history[0]["other"]
        for each in (other, gcn(3))
    )
    assert one != two
    features = torch.randn(5, 3)
    assert 0 <= float(kd4mtl(features, -features)) <= 4


def test_wrong_labels():
    data, second, other = tasks()
    for wrong in (second[:20], second.float(), torch.full((30,), -1)):
        with pytest.raises(ValueError, match=r"'second' must hold labels of two classes at least, integers of shape"):
            graphkd.distil("kd4mtl", gcn(1), gcn(2), data, hidden="convs.0", other_teacher=other, second=wrong)
