"""Node classification: what data are taken, and how models are judged."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

import graphkd
from graphkd.tasks import NodeClassification, accuracy, hold_out
from tests.core.models import CLASSES, gcn, graph
from tests.methods.scene import parts


class Known(nn.Module):
    """Answers that stand in ``x``."""

    def forward(self, x):
        return x


def answers() -> Data:
    """A graph whose ``x`` are answers, right for all nodes but the first of every part."""
    data = graph()
    wrong = torch.zeros(data.num_nodes, dtype=torch.bool)
    wrong[[0, 1, 2]] = True
    data.x = torch.nn.functional.one_hot(torch.where(wrong, (data.y + 1) % CLASSES, data.y), CLASSES).float()
    return data


def test_accuracy_is_the_share_of_right_nodes():
    data, task = answers(), NodeClassification()
    assert task.score(Known(), data, "val") == {"accuracy": pytest.approx(0.9)}
    assert task.scores(Known(), data) == {"val": {"accuracy": 0.9}, "test": {"accuracy": 0.9}}
    assert accuracy(Known(), data) == pytest.approx(0.9)


def test_batches_are_judged_together_sampled_ones_by_their_seeds():
    data, task = answers(), NodeClassification()
    assert task.scores(Known(), parts(data)) == task.scores(Known(), data)
    sampled = [Data(**part.to_dict(), batch_size=4) for part in parts(data)]
    seeds = torch.cat([part.n_id[:4] for part in sampled])
    rows = seeds[data.val_mask[seeds]]
    right = (data.x[rows].argmax(dim=1) == data.y[rows]).double().mean()
    assert task.score(Known(), sampled, "val")["accuracy"] == pytest.approx(float(right))


@pytest.mark.parametrize("form", ["column", "ids", "split"])
def test_labels_and_masks_of_other_shapes_give_the_same(form):
    data, other, task = graph(), graph(), NodeClassification()
    if form == "column":
        other.y = other.y[:, None]
    for name in ("train_mask", "val_mask", "test_mask"):
        if form == "ids":
            other[name] = other[name].nonzero()[:, 0]
        if form == "split":
            other[name] = torch.stack([~other[name], other[name]], dim=1)
            task = NodeClassification(split=1)
    one = graphkd.distil("kd", gcn(2), gcn(1), data, epochs=3, progress=False)
    two = graphkd.distil("kd", gcn(2), gcn(1), other, task=task, epochs=3, progress=False)
    assert one.scores == two.scores
    pairs = zip(one.model.state_dict().values(), two.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_several_splits_ask_which():
    data = graph()
    data.train_mask = torch.stack([data.train_mask] * 10, dim=1)
    with pytest.raises(ValueError, match=r"'train_mask' has 10 splits, shape \(30, 10\): choose one by task="):
        NodeClassification().prepare(data)


def test_zeros_and_ones_are_not_guessed():
    data = graph()
    data.train_mask = data.train_mask.long()
    with pytest.raises(TypeError, match=r"node ids, got 30 numbers that are all 0 or 1, as torch\.int64: use \.bool"):
        NodeClassification().prepare(data)


def test_data_of_another_kind_are_refused():
    data = graph()
    del data.train_mask
    with pytest.raises(ValueError, match=r"node classification needs \['train_mask'\] in the data, which have"):
        NodeClassification().prepare(data)


def test_a_part_without_nodes_is_not_measured():
    data = graph()
    data.test_mask = torch.zeros_like(data.test_mask)
    assert set(NodeClassification().scores(gcn(1), data)) == {"val"}
    del data.val_mask
    assert NodeClassification().scores(gcn(1), data) == {}


def test_new_nodes_are_judged_apart():
    data = answers()
    seen, held = hold_out(data, share=0.5, seed=1)
    task = NodeClassification(evaluate_on=data, new=held)
    scores = task.scores(Known(), seen)
    assert set(scores) == {"val", "test", "new"}
    rows = held.nonzero()[:, 0]
    assert scores["new"]["accuracy"] == pytest.approx(
        float((data.x[rows].argmax(dim=1) == data.y[rows]).double().mean())
    )


def test_the_losses_fit():
    task = NodeClassification()
    assert task.supervised().where == "train_mask"
    assert task.supervised("other").where == "other"
    assert task.soft(3.0, where="rows").where == "rows"


@pytest.mark.parametrize("node", [-1, 10_000])
def test_edges_of_nodes_that_are_not_there(node):
    data = graph()
    data.edge_index[1, 3] = node
    with pytest.raises(ValueError, match=rf"'edge_index' must hold node ids in \[0, {data.num_nodes}\), got ids from"):
        graphkd.distil("none", gcn(), None, data, epochs=1, progress=False)
