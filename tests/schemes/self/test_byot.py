"""Exits at hidden layers: the sum by parts, and what they answer once trained."""

from __future__ import annotations

import copy

import pytest
import torch
from torch_geometric.nn import GCN

import graphkd
from graphkd import fit
from graphkd.losses import CE, KL
from graphkd.schemes import Exits, exit_hint
from tests.core.models import CLASSES, FEATURES, gcn, graph
from tests.losses.example import NODES, STUDENT, TEACHER, assert_value

TAPS = ["convs.0", "convs.1"]
LABEL = CE(where="train_mask")


def deep(seed=0):
    torch.manual_seed(seed)
    return GCN(FEATURES, 8, 3, CLASSES)


def test_hint():
    want = 0.0
    for i in NODES:
        for s, t in zip(STUDENT[i].tolist(), TEACHER[i].tolist(), strict=True):
            want += (s - t) ** 2 if s > 0 or t > 0 else 0.0
    assert_value(exit_hint(STUDENT, TEACHER), want)


def test_the_sum():
    data, model = graph(), deep()
    task = Exits(model, TAPS[:1], data, labels=LABEL, soft=KL(2.0), deepest="convs.1", alpha=0.3, beta=0.01)
    loss, terms = task(data)
    hidden = model.convs[0](data.x, data.edge_index)
    last = model.convs[1](hidden.relu(), data.edge_index)
    logits = model(data.x, data.edge_index)
    features, early = task.exits[0](hidden)
    label = CE()
    parts = [
        label(logits[data.train_mask], y=data.y[data.train_mask]),
        label(early[data.train_mask], y=data.y[data.train_mask]),
        KL(2.0)(early, logits.detach()),
        exit_hint(features, last.relu().detach()) / features.numel(),
    ]
    assert list(terms) == ["label", "label_exit_0", "soft_exit_0", "hint_exit_0"]
    torch.testing.assert_close(list(terms.values()), [part.detach() for part in parts])
    torch.testing.assert_close(loss, sum(w * part for w, part in zip((1, 0.7, 0.3, 0.01), parts, strict=True)))


def test_the_deepest_exit_learns_from_labels_alone():
    data, model = graph(), deep()
    task = Exits(model, TAPS, data, labels=LABEL, alpha=1.0)
    loss, _ = task(data)
    head = model.convs[2].lin.weight
    (got,) = torch.autograd.grad(loss, head)
    logits = model(data.x, data.edge_index)
    (want,) = torch.autograd.grad(CE()(logits[data.train_mask], y=data.y[data.train_mask]), head)
    torch.testing.assert_close(got, want)


def test_it_gives_back_the_model_and_its_exits_answer():
    data, seen = graph(), []
    task = Exits(deep(), TAPS, data, labels=LABEL, deepest="convs.1")
    model = fit(task, data, epochs=30, log=seen.append)
    assert not model.convs[0]._forward_hooks
    assert seen[-1]["label"] < seen[0]["label"]
    answers = task.answers(data)
    assert [tuple(answer.shape) for answer in answers] == [(30, CLASSES)] * 3
    torch.testing.assert_close(answers[-1], model(data.x, data.edge_index).detach())
    assert not model.convs[0]._forward_hooks
    assert seen[-1]["label_exit_1"] < seen[0]["label_exit_1"]


def test_learning_the_widths_leaves_the_model_alone():
    """Batch norm does not see the example, and no number is drawn."""
    model = GCN(FEATURES, 8, 3, CLASSES, dropout=0.5, norm="batch_norm")
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    torch.manual_seed(0)
    first = Exits(model, TAPS, graph(), labels=LABEL).exits.state_dict()
    torch.manual_seed(0)
    model.eval()
    torch.testing.assert_close(Exits(model, TAPS, graph(), labels=LABEL).exits.state_dict(), first, rtol=0, atol=0)
    assert not any(module.training for module in model.modules())
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    torch.set_rng_state(state)


def test_exits_by_name():
    options = {"hidden": "convs.0", "epochs": 2, "progress": False}
    history = graphkd.distil("byot", deep(), None, graph(), exits=TAPS, deepest="convs.1", **options).history
    assert {"label_exit_0", "label_exit_1", "hint_exit_1"} <= set(history[0])
    found = set(graphkd.distil("byot", deep(), None, graph(), **options).history[0])
    assert {"label_exit_0", "hint_exit_0"} <= found
    assert "label_exit_1" not in found


def test_arguments():
    with pytest.raises(ValueError, match=r"'taps' must name one layer at least and 'alpha' be in \[0, 1\]"):
        Exits(gcn(), [], graph(), labels=LABEL)
    with pytest.raises(ValueError, match=r"has no sub-module 'layers\.0'"):
        Exits(gcn(), ["layers.0"], graph(), labels=LABEL)
