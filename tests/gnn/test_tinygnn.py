from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd import Distiller, fit
from graphkd.gnn import PAM, TinyGNN, neighbour_distillation, peer_index, sample_in_edges
from graphkd.losses import CE
from graphkd.tasks import predict
from tests.core.models import gcn, graph
from tests.losses.example import EDGE_INDEX, EDGES, NODES, STUDENT, dot

KINDS = ["siblings", "adjacent_siblings", "neighbours"]


def peers_of(node, kind):
    """As a set, the node itself included; loops make none."""
    sources = {target: {s for s, t in EDGES if t == target != s} for target in NODES}
    siblings = {peer for of in sources.values() if node in of for peer in of}
    found = {"siblings": siblings, "neighbours": sources[node], "adjacent_siblings": siblings & sources[node]}
    return sorted(found[kind] | {node})


@pytest.mark.parametrize("kind", KINDS)
def test_peers(kind):
    pairs = peer_index(EDGE_INDEX, 5, kind)
    assert sorted(pairs.t().tolist()) == sorted([peer, node] for node in NODES for peer in peers_of(node, kind))


def test_fan_out_bounds_the_edges_that_make_peers():
    star = torch.stack([torch.arange(1, 21), torch.zeros(20, dtype=torch.long)])
    assert peer_index(star, 21).size(1) == 20 * 20 + 1
    found = peer_index(star, 21, fan_out=3)
    assert found.size(1) == 3 * 3 + 18
    assert torch.equal(peer_index(star, 21, fan_out=3), found)
    with pytest.raises(ValueError, match="'fan_out' must be at least 1, got 0"):
        sample_in_edges(star, 0, 21)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("heads", "scale", "residual"), [(1, True, False), (3, False, True)])
def test_attention_to_peers(kind, heads, scale, residual):
    torch.manual_seed(0)
    out = 3 if residual else 4
    module = PAM(3, out, key_width=2, heads=heads, peers=kind, scale=scale, residual=residual).double()
    query, key, value = (linear(STUDENT).tolist() for linear in (module.query, module.key, module.value))
    size = out // heads
    for node, found in zip(NODES, module(STUDENT, EDGE_INDEX).tolist(), strict=True):
        peers, want = peers_of(node, kind), []
        for head in range(heads):
            keys, values = slice(2 * head, 2 * head + 2), slice(size * head, size * head + size)
            exps = [math.exp(dot(query[node][keys], key[p][keys]) / (2**0.5 if scale else 1)) for p in peers]
            rows = [value[p][values] for p in peers]
            want += [sum(e * row[c] for e, row in zip(exps, rows, strict=True)) / sum(exps) for c in range(size)]
        want = [w + float(x) for w, x in zip(want, STUDENT[node], strict=True)] if residual else want
        assert found == pytest.approx(want)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_student_learns_what_the_teacher_says(layers):
    data = graph()
    del data.val_mask  # the last epoch, which is not the best on random labels
    teacher = fit(Distiller(gcn(1), losses=CE(where="train_mask")), data, epochs=50)
    taught = predict(teacher, data)

    def agreement(model):
        return float((predict(model, data) == taught).float().mean())

    options = {"soft_weight": 1.0, "width": 32, "layers": layers, "dropout": 0.0, "heads": 2}
    before, trained = (graphkd.distil("tinygnn", None, teacher, data, epochs=n, **options).model for n in (0, 60))
    assert isinstance(trained, TinyGNN)
    assert agreement(trained) > max(agreement(before), 0.7)


def test_soft_targets_have_the_weight_and_labels_the_rest():
    losses = neighbour_distillation(0.7, 3.0, labelled="train_mask", taught="seed")
    (label,), (soft,) = losses["label"].parts(), losses["teacher"].parts()
    assert (label[0], label[1].where) == (pytest.approx(0.3), "train_mask")
    assert (soft[0], soft[1].temperature, soft[1].where) == (0.7, 3.0, "seed")


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"'soft_weight' must be in \[0, 1\], got 1.5"):
        graphkd.distil("tinygnn", None, gcn(), graph(), soft_weight=1.5)
    with pytest.raises(ValueError, match="'peers' must be one of"):
        PAM(3, 4, peers="friends")
    with pytest.raises(ValueError, match="'out' must be a multiple of 'heads', got 4 and 3"):
        PAM(3, 4, heads=3)
    with pytest.raises(ValueError, match="'residual' needs equal widths, got 3 and 4"):
        PAM(3, 4, residual=True)
    with pytest.raises(ValueError, match="'layers' must be at least 1, got 0"):
        TinyGNN(3, 4, 2, layers=0)
