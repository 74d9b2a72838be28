"""HG2M: reliable nodes, meta-paths and the regression by slow twins; the loss by loops; on a graph of two types."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import MLP, SAGEConv

import graphkd
from graphkd import Frozen
from graphkd.gnn import hg2m_paths
from graphkd.gnn.hg2m import HG2M, incidences
from graphkd.gnn.hg2m_paths import (
    Pairs,
    Taught,
    fit_logistic,
    meta_path_pairs,
    pair_features,
    reliable_edges,
    reliable_nodes,
)
from graphkd.losses import CE
from graphkd.tasks import NodeClassification
from tests.core.models import gcn, graph
from tests.gnn.test_ffg2m import mlp
from tests.losses.example import EDGES, STUDENT, TEACHER, divergence, softmax


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_reliable_nodes():
    p = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [1.0, 0.0], [0.55, 0.45], [0.1, 0.9]])
    labels, others = torch.tensor([0, 0, 1, 1, 1, 1]), torch.tensor([2, 3, 4, 5])
    found = reliable_nodes(p, labels, torch.tensor([0, 1]), others, 0.5)
    assert found.tolist() == [0, 3, 5]  # a certain answer among them
    assert reliable_nodes(p, labels, torch.tensor([0, 1]), others, 0.1).tolist() == [0]


@pytest.mark.parametrize("rows", [4096, 3])
def test_pairs_share_groups(monkeypatch, rows):
    monkeypatch.setattr(hg2m_paths, "ROWS", rows)
    member = (rand(12, 5) < 0.4).long()
    reliable, trusted = torch.tensor([0, 3, 4, 7]), {0, 3, 4, 7}
    shared = member @ member.t()
    want = {
        (u, v): int(shared[u, v]) for u in range(12) for v in range(u + 1, 12) if shared[u, v] >= 2 and {u, v} & trusted
    }
    found = meta_path_pairs(member.nonzero().t(), 12, reliable, 2)
    assert dict(zip(map(tuple, found.ends.t().tolist()), found.shared.tolist(), strict=True)) == want


def test_features_of_pairs():
    pairs = Pairs(torch.tensor([[0, 2], [1, 3]]), torch.tensor([3, 1]))
    x, p = rand(4, 3), rand(4, 2, seed=1)
    for row, (u, v, n) in zip(pair_features(pairs, x, p), ((0, 1, 3), (2, 3, 1)), strict=True):
        want = [float(torch.cosine_similarity(x[u], x[v], dim=0)), n, float(p[u] @ p[v])]
        assert row.tolist() == pytest.approx(want)


def test_the_regression_is_scikit_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = 3 * rand(60, 3), rand(60, seed=1) + 0.4 * rand(60, 3)[:, 0] > 0.7
    model = linear_model.LogisticRegression(tol=1e-10, max_iter=10000).fit(x.numpy(), y.numpy())
    want = np.concatenate([model.coef_[0], model.intercept_])
    assert fit_logistic(x, y.double()).tolist() == pytest.approx(want.tolist(), rel=1e-4)


def test_edges_go_from_reliable_ends_and_the_weakest_is_dropped():
    """Nodes 0 to 5 are labelled, in two classes; pairs of equal features are of one class."""
    ends = torch.tensor([[0, 0, 1, 2, 0, 3, 4], [1, 3, 4, 5, 6, 6, 5]])
    labels, labelled = torch.tensor([0, 0, 0, 1, 1, 1, 0]), torch.arange(6)
    same = torch.tensor([1, 0, 0, 0, 1, 0, 1]).double()
    features = torch.stack([same, same, 2 * same], dim=1)
    found = reliable_edges(Pairs(ends, torch.ones(7)), features, labels, labelled, torch.tensor([0, 1, 3, 4]))
    assert found.edge_index.t().tolist() == [[0, 1], [4, 5], [1, 0]]  # the predicted 0 - 6 is the weakest
    assert found.score.tolist() == [1.0, 1.0, 1.0]


def test_nothing_can_be_fitted_on_pairs_of_one_kind():
    ends, labels = torch.tensor([[0, 1], [1, 2]]), torch.tensor([0, 0, 0])
    found = reliable_edges(Pairs(ends, torch.ones(2)), rand(2, 3), labels, torch.tensor([0, 1]), torch.tensor([0]))
    assert found.edge_index.tolist() == [[0], [1]]
    assert found.score.tolist() == [1.0]


def test_the_loss():
    reliable, scores = [0, 2, 3], [0.5, 1.0, 0.2, 0.9, 0.1, 0.3, 0.8, 0.4, 0.7]
    edges = torch.tensor(EDGES).t()
    taught = [Taught(edges, torch.tensor(scores)), Taught(edges[:, :2], torch.tensor(scores[:2]))]
    made = HG2M(nn.Linear(1, 1), Frozen(nn.Identity()), CE(), torch.tensor(reliable), taught)
    nodes, paths = made.soft(STUDENT, TEACHER)
    kl = lambda i, j: divergence(softmax(TEACHER[i]), softmax(STUDENT[j]))  # noqa: E731
    trusted = sum(kl(i, i) for i in reliable) / 3
    want = []
    for count in (9, 2):
        along = sum(scores[e] * kl(*EDGES[e]) for e in range(count))
        want.append((along + 5 * trusted) / (count + 5))
    assert float(nodes) == pytest.approx(trusted)
    assert float(paths) == pytest.approx(sum(want) / 2, rel=1e-6)


class Typed(nn.Module):
    """Papers that read their authors."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = SAGEConv((4, 6), 3)

    def forward(self, x_dict, edge_index_dict):
        ends = x_dict["author"], x_dict["paper"]
        return {"paper": self.conv(ends, edge_index_dict["author", "rev_writes", "paper"])}


def typed() -> HeteroData:
    data, place = HeteroData(), torch.arange(30)
    data["paper"].x, data["author"].x = rand(30, 6).float(), rand(8, 4).float()
    data["paper"].y = place % 3
    data["paper"].train_mask, data["paper"].val_mask = place < 12, (place >= 12) & (place < 20)
    data["paper"].test_mask = place >= 20
    edges = torch.stack([torch.arange(60) % 30, (torch.arange(60) * 7) % 8])
    data["paper", "writes", "author"].edge_index = edges
    data["author", "rev_writes", "paper"].edge_index = edges.flip(0)
    return data


def test_on_a_graph_of_two_types():
    data, task = typed(), NodeClassification(node_type="paper")
    result = graphkd.distil("hg2m", None, Typed(), data, task=task, epochs=3, width=5, progress=False)
    assert isinstance(result.model, MLP)
    assert result.model(data["paper"].x).shape == (30, 3)
    assert {"nodes", "paths", "label"} <= result.history[0].keys()
    without = graphkd.distil("hg2m", None, Typed(), data, task=task, epochs=1, path_weight=0.0, progress=False)
    assert "paths" not in without.history[0]
    wrong = [("author", "knows", "author")]
    with pytest.raises(ValueError, match="'paths' must be edge types from or to 'paper', of"):
        graphkd.distil("hg2m", None, Typed(), data, task=task, epochs=1, paths=wrong)


def test_a_reverse_is_no_path_of_its_own():
    from graphkd.core.problem import Problem

    task = NodeClassification(node_type="paper")
    problem = Problem(None, [Typed()], task.prepare(typed()), task, calls=[None, task.call(None)])
    assert [each.shape for each in incidences(problem)] == [(2, 60)]


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match=r"'reliable_share' must be in \(0, 1\] and 'least_shared' at least 1"):
        graphkd.distil("hg2m", mlp(), gcn(1), graph(), epochs=1, reliable_share=0.0)
    with pytest.raises(ValueError, match="'paths' are edge types of a heterogeneous graph, this one has one type"):
        graphkd.distil("hg2m", mlp(), gcn(1), graph(), epochs=1, paths=[("a", "b", "c")])
    assert math.isfinite(graphkd.distil("hg2m", mlp(), gcn(1), graph(), epochs=1, progress=False).history[0]["loss"])


def test_groups_too_large_for_their_pairs_are_refused_by_name(monkeypatch):
    monkeypatch.setattr("graphkd.gnn.hg2m.MOST_PAIRS", 3)
    words = r"the meta-path \('paper', 'writes', 'author'\) joins up to [\d,]+ pairs of nodes, its largest group"
    with pytest.raises(ValueError, match=words):
        graphkd.distil("hg2m", None, Typed(), typed(), task=NodeClassification(node_type="paper"), epochs=1)
    with pytest.raises(ValueError, match="the meta-path from a node to its neighbours joins up to"):
        graphkd.distil("hg2m", mlp(), gcn(1), graph(), epochs=1)
