"""Weights of source domains: the formula, and who is listened to."""

from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd import Frozen
from graphkd.core.batches import changed
from graphkd.losses import soft_cross_entropy
from graphkd.schemes import domain_similarity, soft_target
from tests.core.models import CLASSES, FEATURES, NODES, gcn, graph
from tests.losses.example import TEACHER

SOURCES = torch.arange(NODES) % 3 - 1


def test_domain_similarity():
    target = [0.5, 0.5, 0.0]
    sources = [[0.5, 0.5, 0.0], [0.1, 0.2, 0.7], [0.0, 0.0, 1.0]]

    def divergence(p, q):
        return sum(a * math.log2(2 * a / (a + b)) for a, b in zip(p, q, strict=True) if a > 0)

    similar = [1 - (divergence(source, target) + divergence(target, source)) / 2 for source in sources]
    got = domain_similarity(torch.tensor(sources, dtype=torch.float64), torch.tensor(target, dtype=torch.float64))
    assert got.tolist() == pytest.approx([s / sum(similar) for s in similar], rel=1e-12, abs=1e-15)
    assert similar[0] == 1
    assert similar[2] == 0
    with pytest.raises(ValueError, match=r"'sources' must have shape \(K, V\) and 'target' \(V,\), got"):
        domain_similarity(TEACHER, TEACHER)


def test_a_step_is_that_of_weighted_teachers():
    """The target's terms are those of the first source alone."""
    x = torch.zeros(NODES, FEATURES)
    x[SOURCES != 1, 0] = 1.0
    x[SOURCES == 1, 1] = 1.0
    data, student, teachers, seen = changed(graph(), x=x), gcn(1), [gcn(2), gcn(3)], []
    graphkd.distil("domain_weights", student, teachers, data, sources=SOURCES, epochs=1, log=seen.append)
    answers = torch.stack([Frozen(teacher)(data)["logits"] for teacher in teachers])
    target = soft_target(answers, 5.0, weights=torch.tensor([1.0, 0.0]))
    want = 25 * soft_cross_entropy(Frozen(student)(data)["logits"], target, 5.0)
    assert seen[0]["loss"] == pytest.approx(float(want), rel=1e-5)
    assert target.shape == (NODES, CLASSES)


@pytest.mark.parametrize("sources", [SOURCES.clamp_min(0), SOURCES.float(), SOURCES[1:], SOURCES + 1])
def test_wrong_sources(sources):
    with pytest.raises(ValueError, match=r"'sources' must be integers of shape \(30,\), all of"):
        graphkd.distil("domain_weights", gcn(1), [gcn(2), gcn(3)], graph(), sources=sources, epochs=1)


def test_without_sources():
    with pytest.raises(ValueError, match="'domain_weights' needs the source domain of every node: give sources="):
        graphkd.distil("domain_weights", gcn(1), [gcn(2), gcn(3)], graph(), epochs=1)
