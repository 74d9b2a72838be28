"""Functions are matched on the same changed batch."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Cached, Frozen
from graphkd.core.rng import seeded
from graphkd.losses import kl
from graphkd.schemes import drop_edges, drop_edges_and_features
from tests.core.models import gcn, graph
from tests.schemes.semi.scene import Spy


@pytest.mark.parametrize("kind", ["module", "cached"])
def test_functions_are_matched_on_the_same_changed_batch(kind):
    data, student, teacher = graph(), Spy(gcn(2)), Spy(gcn(1), always=True)
    given = teacher if kind == "module" else Cached(teacher, data)
    graphkd.distil("function_matching", student, given, data, noise=drop_edges, epochs=5)
    changed = [edges for _, edges in teacher.seen if edges.size(1) < data.edge_index.size(1)]
    assert len(changed) == 5
    assert all(torch.equal(one, edges) for one, (_, edges) in zip(changed, student.seen, strict=True))


def test_the_loss_of_a_step():
    data, student, teacher, seen = graph(), gcn(1), gcn(2), []
    graphkd.distil("function_matching", student, teacher, data, temperature=2.0, epochs=1, log=seen.append)
    with seeded(0):
        noisy = drop_edges_and_features(data, 0.2)
    want = kl(Frozen(student)(noisy)["logits"], Frozen(teacher)(noisy)["logits"], 2.0)
    assert seen[0]["loss"] == pytest.approx(float(want), rel=1e-5)
