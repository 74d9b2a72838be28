"""STAC: the loss of a step, and who sees which graph."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Cached, Frozen
from graphkd.core.rng import seeded
from graphkd.losses import cross_entropy, pseudo_label
from graphkd.schemes import drop_edges, drop_edges_and_features
from tests.core.models import gcn, graph
from tests.methods import scene
from tests.schemes.semi.scene import Spy


def test_the_loss_of_a_step():
    data, student, teacher, seen = graph(), gcn(1), gcn(2), []
    graphkd.distil("stac", student, teacher, data, threshold=0.4, weight=3.0, rate=0.5, epochs=1, log=seen.append)
    with seeded(0):
        noisy = drop_edges_and_features(data, 0.5)
    s, t, rows = Frozen(student)(noisy)["logits"], Frozen(teacher)(data)["logits"], data.train_mask
    want = cross_entropy(s[rows], data.y[rows]) + 3 * pseudo_label(s[~rows], t[~rows], 0.4)
    assert seen[0]["loss"] == pytest.approx(float(want), rel=1e-5)


def test_a_student_comes_nearer():
    data, teacher, student = graph(), gcn(1), gcn(2)
    want = Frozen(teacher)(data)["logits"].argmax(dim=1)
    before = (student(data.x, data.edge_index).argmax(dim=1) == want).float().mean()
    found = graphkd.distil("stac", student, teacher, data, threshold=0.0, epochs=30).model
    assert (found(data.x, data.edge_index).argmax(dim=1) == want)[~data.train_mask].float().mean() > before


@pytest.mark.parametrize("name", ["stac", "parallel_data", "noisy_student"])
@pytest.mark.parametrize("loader", [False, True])
def test_the_student_alone_sees_the_changed_graph(name, loader):
    data = scene.graph()
    given = scene.parts(data) if loader else data
    whole = [part.edge_index for part in (given if loader else [given])]
    student, teacher = Spy(scene.gcn(1, 8)), Spy(scene.gcn(2, 8), always=True)
    graphkd.distil(name, student, teacher, given, noise=drop_edges, epochs=3)
    assert all(any(torch.equal(edges, other) for other in whole) for _, edges in teacher.seen)
    most = max(edges.size(1) for edges in whole)
    assert all(edges.size(1) < most for _, edges in student.seen)


def test_a_cached_teacher_gives_the_same():
    data = graph()
    one, other = (
        graphkd.distil("stac", gcn(1), teacher, data, threshold=0.0, epochs=3).model
        for teacher in (gcn(2), Cached(gcn(2), data))
    )
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))
