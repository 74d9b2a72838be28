"""HGMD: chances, mixed and weighted targets by their formulas, one edge at a time."""

from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd import Frozen
from graphkd.gnn.hgmd import HGMD, edge_chance, edge_shares
from graphkd.losses import CE
from tests.core.models import NODES, gcn, graph
from tests.gnn.test_ffg2m import mlp
from tests.losses.example import EDGE_INDEX, EDGES, STUDENT, TEACHER, dot, norm, softmax
from tests.losses.example import NODES as FEW


def entropies(logits):
    found = [-sum(p * math.log(p) for p in softmax(row)) for row in logits]
    return [value / max(found) for value in found]


def cosine(i, j):
    one, other = softmax(TEACHER[i]), softmax(TEACHER[j])
    return dot(one, other) / norm(one) / norm(other)


def chances(alpha):
    student, teacher = entropies(STUDENT), entropies(TEACHER)
    pairs = ((i, j, cosine(i, j)) for i, j in EDGES)
    return [1 - math.exp(-alpha * c * math.sqrt(teacher[i] * student[i]) / teacher[j]) for i, j, c in pairs]


def test_chances():
    assert edge_chance(STUDENT, TEACHER, EDGE_INDEX, 2.0).tolist() == pytest.approx(chances(2.0), rel=1e-12)


def test_a_neighbour_without_doubt_is_always_drawn():
    teacher = torch.tensor([[0.0, 1.0], [0.0, 1e4]], dtype=torch.float64)
    assert edge_chance(teacher, teacher, torch.tensor([[0], [1]]), 1.0).tolist() == [1.0]


def test_shares_of_a_sub_graph_sum_to_its_size():
    chance = torch.tensor(chances(2.0), dtype=torch.float64)
    weights = [cosine(i, j) * p for (i, j), p in zip(EDGES, chance.tolist(), strict=True)]
    of = {node: [w for (i, _), w in zip(EDGES, weights, strict=True) if i == node] for node in FEW}
    want = [w * len(of[i]) / sum(of[i]) for (i, _), w in zip(EDGES, weights, strict=True)]
    found = edge_shares(TEACHER, EDGE_INDEX, chance)
    assert found.tolist() == pytest.approx(want, rel=1e-12)
    assert edge_shares(TEACHER, EDGE_INDEX, torch.zeros_like(chance)).tolist() == [0.0] * len(EDGES)


def hgmd(**options):
    return HGMD(mlp(), Frozen(gcn(1)), CE(where="train_mask"), label_weight=0.0, temperature=1.0, **options)


@pytest.mark.parametrize("form", ["mixup", "weight"])
def test_the_first_epoch_takes_all_edges(form):
    """With shares of 0 mixed targets are the node's own."""
    data = graph()
    trainable = hgmd(form=form)
    trainable._mix = torch.zeros_like
    learner, taught = data.edge_index[:, data.edge_index[0] != data.edge_index[1]]
    loops = torch.arange(NODES)
    q = gcn(1).eval()(data.x, data.edge_index).detach().softmax(1)
    p = mlp().eval()(data.x).detach().softmax(1)
    i, j = torch.cat([learner, loops]), torch.cat([taught, loops])
    kl = (q[i] * (q[i] / p[i]).log()).sum(1) if form == "mixup" else (q[j] * (q[j] / p[i]).log()).sum(1)
    shares = torch.ones(len(i)) if form == "mixup" else edge_shares(q.log(), torch.stack([i, j]), torch.ones(len(i)))
    assert float(trainable(data).loss.detach()) == pytest.approx(float((shares * kl).mean()), rel=1e-4)


def test_sub_graphs_shrink_as_alpha_falls():
    data, taught, sizes = graph(), gcn(1).eval(), []
    logits = taught(data.x, data.edge_index).detach()
    trainable = hgmd(alpha=1.0, fall=1e4)
    for epoch in (1, 9):
        trainable.set_epoch(epoch, 10)
        torch.manual_seed(0)
        sizes.append(trainable.targets(data, logits, data.edge_index).total)
    assert sizes[0] > NODES + 5
    assert sizes[1] == NODES  # the loops alone


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="'form' must be one of"):
        graphkd.distil("hgmd", mlp(), gcn(), graph(), form="both")
    with pytest.raises(ValueError, match="'beta' must be positive, got 0"):
        graphkd.distil("hgmd", mlp(), gcn(), graph(), beta=0)
