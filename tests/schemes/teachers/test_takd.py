"""Assistants: which way is chosen, and that nothing but the pupils learns."""

from __future__ import annotations

import copy

import pytest
import torch

from graphkd.schemes import takd
from tests.core.models import gcn, graph


def measured(scores):
    """A metric that gives the n-th trained model the n-th score; every model is asked once an epoch and once after."""
    asked: list = []

    def metric(model):
        if not asked or asked[-1] is not model:
            asked.append(model)
        return scores[len(asked) - 1]

    return metric, asked


def test_the_way_is_that_of_the_best_accuracies():
    """Two assistants: 0 by the teacher (.5); 1 by the teacher (.6) or 0 (.4); the student by the teacher, 0 or 1."""
    metric, asked = measured([0.5, 0.6, 0.4, 0.1, 0.3, 0.7])
    chain = takd(gcn(9, width=2), gcn(1), [gcn(2, width=6), gcn(3, width=4)], graph(), metric=metric, epochs=1)
    assert len(asked) == 6
    assert chain.path == (1,)
    assert chain.accuracies == (0.5, 0.6, 0.7)


def test_a_longer_way():
    metric, _ = measured([0.5, 0.4, 0.6, 0.1, 0.3, 0.7])
    chain = takd(gcn(9, width=2), gcn(1), [gcn(2, width=6), gcn(3, width=4)], graph(), metric=metric, epochs=1)
    assert chain.path == (0, 1)


@pytest.mark.parametrize(("route", "count", "path"), [("all", 3, (0, 1)), ("none", 3, ())])
def test_fixed_ways(route, count, path):
    metric, asked = measured([0.5, 0.6, 0.7])
    assistants = [gcn(2, width=6), gcn(3, width=4)]
    chain = takd(gcn(9, width=2), gcn(1), assistants, graph(), metric=metric, route=route, epochs=1)
    assert len(asked) == count
    assert chain.path == path


def test_only_the_pupils_learn_and_the_student_is_the_one_given():
    data, teacher, student, assistant = graph(), gcn(1), gcn(9, width=2), gcn(2, width=4)
    before = [copy.deepcopy(model.state_dict()) for model in (teacher, student, assistant)]

    def accuracy(model):
        return float((model(data.x, data.edge_index).argmax(1) == data.y)[data.val_mask].float().mean())

    chain = takd(student, teacher, [assistant], data, metric=accuracy, epochs=5)
    assert chain.student is student
    assert accuracy(student) == chain.accuracies[-1]
    changed = [
        any(not torch.equal(value, old[name]) for name, value in model.state_dict().items())
        for model, old in zip((teacher, student, assistant), before, strict=True)
    ]
    assert changed == [False, True, True]


def test_a_way_must_be_known():
    with pytest.raises(ValueError, match=r"'route' must be one of .*got 'longest'"):
        takd(gcn(9), gcn(1), [], graph(), metric=lambda _: 0.0, route="longest", epochs=1)
