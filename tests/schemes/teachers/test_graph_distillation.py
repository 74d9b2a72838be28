"""The two graphs of several teachers: the loss of a step."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Frozen
from graphkd.core.rng import seeded
from graphkd.losses import RepresentationGraph, cross_entropy, logits_graph
from tests.core.models import gcn, graph


def test_the_loss_of_a_step():
    """Teachers of other widths, each with a layer of its own."""
    data, student, teachers, seen = graph(), gcn(1, width=4), [gcn(2, width=8), gcn(3, width=6)], []
    settings = {"logits_weight": 0.5, "representation_weight": 2.0, "dimension": 32}
    hidden = ("convs.0", "convs.0", "convs.1")
    graphkd.distil("graph_distillation", student, teachers, data, hidden=hidden, epochs=1, log=seen.append, **settings)
    s, rows = Frozen(student)(data)["logits"], data.train_mask
    answers = torch.stack([Frozen(teacher)(data)["logits"] for teacher in teachers])
    with torch.no_grad(), seeded(0):
        representation = RepresentationGraph(4, [8, 3], 32)
        shown = torch.cat([teachers[0].convs[0](data.x, data.edge_index), answers[1]], dim=1)
        third = representation(student.convs[0](data.x, data.edge_index), shown)
    want = cross_entropy(s[rows], data.y[rows]) + 0.5 * logits_graph(s, answers) + 2.0 * third
    assert seen[0]["loss"] == pytest.approx(float(want), rel=1e-5)
