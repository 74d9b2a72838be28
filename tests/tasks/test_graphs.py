"""Graph classification: what data are taken, and how models are judged."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCNConv, global_mean_pool

import graphkd
from graphkd.tasks import GraphClassification

CLASSES, FEATURES = 3, 4


class Classifier(nn.Module):
    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        super().__init__()
        self.conv, self.last = GCNConv(FEATURES, 8), nn.Linear(8, CLASSES)

    def forward(self, x, edge_index, batch):
        return self.last(global_mean_pool(self.conv(x, edge_index).relu(), batch))


class Known(nn.Module):
    """Answers that stand in the features of a graph's nodes."""

    def forward(self, x, batch):
        return global_mean_pool(x, batch)


def graphs(count: int = 12, seed: int = 0, labels: tuple[int, ...] = (1,)) -> list[Data]:
    """Graphs whose class is the column in which their features are large."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number in range(count):
        x = torch.randn(3 + number % 4, FEATURES, generator=generator)
        x[:, number % CLASSES] += 3
        ends = torch.randint(x.size(0), (2, 8), generator=generator)
        found.append(Data(x=x, edge_index=ends, y=torch.full(labels, number % CLASSES)))
    return found


def test_accuracy_is_the_share_of_right_graphs_of_all_batches():
    wrong = graphs()
    wrong[3].y, wrong[5].y = torch.tensor([2]), torch.tensor([-1])  # one wrong, one not labelled
    task = GraphClassification(val=DataLoader(graphs(), 5), test=DataLoader(wrong, 5))
    assert task.scores(Known(), None) == {"val": {"accuracy": 1.0}, "test": {"accuracy": pytest.approx(10 / 11)}}
    assert GraphClassification().scores(Known(), None) == {}


@pytest.mark.parametrize("labels", [(1,), (1, 1)])
def test_a_student_learns_from_loaders(labels):
    train, val = graphs(labels=labels), DataLoader(graphs(seed=1, labels=labels), 5)
    task = GraphClassification(val=val, test=val)
    loader = DataLoader(train, batch_size=4, shuffle=True)
    teacher = graphkd.distil("none", Classifier(), None, loader, task=task, epochs=40).model
    result = graphkd.distil("kd", Classifier(1), teacher, loader, task=task, epochs=40)
    assert result.scores["val"]["accuracy"] > 0.8
    assert train[0].y.shape == labels


def test_unlabelled_graphs_have_no_part_in_the_labels_loss():
    some = graphs()
    for graph in some[6:]:
        graph.y = torch.tensor([-1])
    task = GraphClassification()
    half = graphkd.distil("none", Classifier(), None, DataLoader(graphs()[:6], 6), task=task, epochs=3).model
    whole = graphkd.distil("none", Classifier(), None, DataLoader(some, 12), task=task, epochs=3).model
    for one, other in zip(half.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_part_without_labels_is_named():
    some = graphs(2)
    for graph in some:
        graph.y = torch.tensor([-1])
    with pytest.raises(ValueError, match="'test' must select at least one graph with a label"):
        GraphClassification(test=DataLoader(some, 2)).score(Known(), None)


def test_labels_that_batches_join_to_more_rows_than_graphs():
    flat = [Data(x=torch.randn(3, FEATURES), edge_index=torch.zeros(2, 1).long(), y=torch.zeros(3).long())] * 4
    loader = DataLoader(flat, batch_size=4)
    with pytest.raises(ValueError, match=r"a row for each of 4 graphs, got 12: .* needs y of shape \(1, k\)"):
        graphkd.distil("none", Classifier(), None, loader, task=GraphClassification(val=loader), epochs=1)
