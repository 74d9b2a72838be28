"""Phases: which rows each takes in, and at which weight."""

from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd import Frozen
from graphkd.losses import cross_entropy, soft_cross_entropy
from graphkd.schemes import relative_entropy
from tests.core.models import gcn, graph
from tests.losses.example import CLASSES as EACH_CLASS
from tests.losses.example import NODES as ROWS
from tests.losses.example import TEACHER, softmax


def test_relative_entropy():
    got = relative_entropy(TEACHER)
    for i in ROWS:
        p = softmax(TEACHER[i])
        assert float(got[i]) == pytest.approx(-sum(p[c] * math.log(p[c]) for c in EACH_CLASS) / math.log(3))
    torch.testing.assert_close(relative_entropy(torch.zeros(1, 4)), torch.ones(1))


def test_phases_take_in_more_rows(monkeypatch):
    from graphkd.core.problem import Problem

    sizes, train = [], Problem.train

    def watched(problem, task, name, data):
        sizes.append(data["pseudo"].numel())
        return train(problem, task, name, data)

    monkeypatch.setattr(Problem, "train", watched)
    graphkd.distil("phased_labels", gcn(2), gcn(1), graph(), epochs=2)
    assert sizes == [7, 14, 20]
    with pytest.raises(ValueError, match="'phases' must be at least 1, got 0"):
        graphkd.distil("phased_labels", gcn(2), gcn(1), graph(), phases=0, epochs=1)


def test_the_loss_of_a_step():
    """Of two phases the first: the easier half of the other rows."""
    data, student, teacher, seen = graph(), gcn(1), gcn(2), []
    graphkd.distil("phased_labels", student, teacher, data, phases=2, epochs=1, log=seen.append)
    s, t = (Frozen(model)(data)["logits"] for model in (student, teacher))
    entropy = relative_entropy(t)
    others = (~data.train_mask).nonzero()[:, 0].tolist()
    easy = sorted(others, key=lambda row: float(entropy[row]))[: len(others) // 2]
    want = cross_entropy(s[data.train_mask], data.y[data.train_mask])
    want = want + (1 - entropy[easy]).mean() * soft_cross_entropy(s[easy], t[easy])
    assert [row["stage"] for row in seen] == ["phase-1", "phase-2"]
    assert seen[0]["loss"] == pytest.approx(float(want), rel=1e-5)
