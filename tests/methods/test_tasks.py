"""Every method on every further task that it claims: it trains, on rows that it may read, and is evaluated."""

from __future__ import annotations

import copy
import math

import pytest
import torch

import graphkd
from tests.lanes import thinned
from tests.methods import other_tasks

PAIRS = [(row, kind) for kind in other_tasks.KINDS for row in graphkd.methods(task=kind) if row.tasks[0] != kind]


@pytest.mark.parametrize(("row", "kind"), thinned(PAIRS, 3), ids=[f"{row.name}-{kind}" for row, kind in PAIRS])
def test_a_method_serves_a_task_that_it_claims(row, kind):
    given = other_tasks.arguments(row, kind)
    before = copy.deepcopy(given["student"].state_dict())
    found = other_tasks.run(row, kind, student=given["student"])
    assert set(found.scores) >= {"val", "test"}
    assert all(math.isfinite(value) for part in found.scores.values() for value in part.values())
    weights = found.model.state_dict()
    assert any(name not in weights or not torch.equal(weights[name], before[name]) for name in before)
    assert all(torch.equal(given["student"].state_dict()[name], before[name]) for name in before)


LABELS = [row for row, kind in PAIRS if kind == "multi_label_node_classification"]


@pytest.mark.slow
@pytest.mark.parametrize("row", LABELS, ids=[row.name for row in LABELS])
def test_labels_of_test_nodes_are_not_read(row):
    data = other_tasks.several_labels()
    other = copy.copy(data)
    other.y = torch.where((data.train_mask | data.val_mask)[:, None], data.y, 1 - data.y)
    models = [other_tasks.run(row, "multi_label_node_classification", data=each).model for each in (data, other)]
    assert all(torch.equal(*pair) for pair in zip(*(model.parameters() for model in models), strict=True))


def test_a_task_that_is_not_served_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match=r"'dkd' is for node_classification.*, got 'link_prediction'"):
        other_tasks.run(next(row for row in graphkd.methods() if row.name == "dkd"), "link_prediction")
