"""MuGSI: its three terms by loops over graphs, clusters and walks, and the method with a student of its own."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

import graphkd
from graphkd.gnn.mugsi import MuGSI
from graphkd.gnn.mugsi_student import AttentionPooling, MuGSIStudent
from graphkd.gnn.mugsi_terms import cluster_cosines, graph_vectors, pooled, stacked_clusters, walk_affinity
from graphkd.tasks import GraphClassification
from tests.methods.other_tasks import KINDS, Pooled
from tests.methods.scene import CLASSES, FEATURES


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_graph_vectors_compare_directions():
    s, t = normal(3, 4), normal(3, 4, seed=1)
    want = sum(((s[g] / s[g].norm() - t[g] / t[g].norm()) ** 2).sum() for g in range(3)) / 12
    torch.testing.assert_close(graph_vectors(s, t), want)
    assert graph_vectors(5 * t, t) < 1e-20


def test_clusters_of_graphs_are_numbered_in_turn():
    cluster, batch = torch.tensor([1, 0, 2, 0, 1, 0, 0]), torch.tensor([0, 0, 0, 0, 1, 1, 3])
    stacked, graph = stacked_clusters(cluster, batch, 4)
    assert stacked.tolist() == [1, 0, 2, 0, 4, 3, 5]
    assert graph.tolist() == [0, 0, 0, 1, 1, 3]


def test_cosines_of_clusters_count_in_graphs_of_more_than_two():
    s, t, graph = normal(7, 4), normal(7, 5, seed=1), torch.tensor([0, 0, 0, 1, 1, 2, 2])
    want = 0.0
    for i in range(3):
        for j in range(3):
            one, other = (float(x[i] @ x[j] / x[i].norm() / x[j].norm()) for x in (s, t))
            want += 0.5 * (one - other) ** 2
    assert float(cluster_cosines(s, t, graph, 4)) == pytest.approx(want / 4)


def test_walks_match_affinities_to_their_start():
    s, t = normal(6, 3), normal(6, 2, seed=1)
    walks = torch.tensor([[0, 1, 2, 1], [2, 2, 0, 1], [4, 5, 4, 5]])
    want = 0.0
    for start, *others in walks.tolist():
        p, q = (torch.tensor([float(x[start] @ x[node]) for node in others]).softmax(0).tolist() for x in (s, t))
        want += sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
    found = walk_affinity(s, t, walks, torch.tensor([0, 0, 1]), 3, per_graph=2)
    assert float(found) == pytest.approx(want / (3 * 2), rel=1e-5)


def test_a_graph_whose_softmax_underflows_counts_or_not():
    s, t = 1e3 * normal(4, 3), normal(4, 3, seed=1)
    walks, graph = torch.tensor([[0, 1, 0], [2, 3, 2]]), torch.tensor([0, 1])
    exact = walk_affinity(s, t, walks, graph, 2, per_graph=1)
    assert exact > 100
    assert walk_affinity(s, t, walks, graph, 2, per_graph=1, exact=False) == 0


def test_attention_weighs_within_each():
    torch.manual_seed(0)
    gate, rows, index = nn.Linear(3, 1).double(), normal(5, 3), torch.tensor([0, 1, 0, 1, 1])
    want = torch.stack([(gate(rows[index == g]).softmax(0) * rows[index == g]).sum(0) for g in range(2)])
    torch.testing.assert_close(pooled(rows, index, 2, gate), want)
    torch.testing.assert_close(pooled(rows, index, 3)[:2], torch.stack([rows[index == g].sum(0) for g in range(2)]))
    assert AttentionPooling(3).double().eval()(rows, index).shape == want.shape


def graphs() -> list[Data]:
    """Two rings joined by an edge, nodes alone, and a triangle."""
    ring = [(i, (i + 1) % 4) for i in range(4)]
    edges = [*ring, *[(a + 4, b + 4) for a, b in ring], (0, 4)]
    of = lambda pairs: torch.tensor(pairs + [(b, a) for a, b in pairs], dtype=torch.long).reshape(-1, 2).t()  # noqa: E731
    shapes = [(8, edges), (3, []), (3, [(0, 1), (1, 2), (0, 2)])]
    return [Data(x=normal(n, FEATURES, seed=n).float(), edge_index=of(e), y=torch.tensor([1])) for n, e in shapes]


def trainable(**options) -> MuGSI:
    task = GraphClassification()
    taps = {"nodes": ("conv", "conv"), "graphs": ("embed", "embed")}
    weights = {"soft": 1.0, "graph": 0.5, "cluster": 0.3, "walk": 0.2}
    teacher = graphkd.Frozen(Pooled(2, 6))
    options = {"taps": taps, "widths": (4, 6), "weights": weights, **options}
    return MuGSI(Pooled(1, 4), teacher, task.supervised(), task.soft(), **options)


def test_walks_stay_in_their_graph_and_begin_anywhere_in_it():
    batch = next(iter(DataLoader(graphs(), 3)))
    walks = trainable(walks=50, walk_length=3).walks_of(batch.batch, batch.edge_index, 3)
    assert walks.shape == (100, 4)  # of the graphs with edges
    assert (batch.batch[walks] == batch.batch[walks[:, :1]]).all()
    assert set(walks[:, 0].tolist()) == {*range(8), *range(11, 14)}


def test_clusters_are_louvains_and_found_once(monkeypatch):
    batch, made = next(iter(DataLoader(graphs(), 3))), trainable()
    found = made.clusters(batch.batch, batch.edge_index, 3)
    assert len(set(found[:4].tolist())) == len(set(found[4:8].tolist())) == 1
    assert found[0] != found[4]
    assert found[8:11].tolist() == [0, 1, 2]  # nobody is joined
    monkeypatch.setattr("graphkd.gnn.mugsi.louvain_regions", None)
    assert torch.equal(made.clusters(batch.batch, batch.edge_index, 3), found)


def test_the_terms_add_up():
    batch = next(iter(DataLoader(graphs(), 3)))
    made = trainable()
    step = made(GraphClassification().prepare(batch))
    weights = {"label": 1.0, "soft": 1.0, "graph": 0.5, "cluster": 0.3, "walk": 0.2}
    assert step.terms.keys() == weights.keys()
    want = sum(weight * float(step.terms[name]) for name, weight in weights.items())
    assert float(step.loss.detach()) == pytest.approx(want, rel=1e-5)
    step.loss.backward()
    assert made.head.weight.grad.any()


def test_a_student_of_its_own():
    given = KINDS["graph_classification"]()
    options = {"task": given["task"], "epochs": 2, "progress": False, "layers": ("conv", "embed"), "width": 5}
    result = graphkd.distil("mugsi", None, given["teacher"], given["data"], **options)
    assert isinstance(result.model, MuGSIStudent)
    assert result.model(torch.randn(4, FEATURES)).shape == (1, CLASSES)


def test_what_is_wrong_is_named():
    given = KINDS["graph_classification"]()

    def run(**options):
        graphkd.distil("mugsi", given["student"], given["teacher"], given["data"], task=given["task"], **options)

    with pytest.raises(ValueError, match="'mugsi' needs 'layers', 2 paths of sub-modules"):
        run(layers=("conv",))
    with pytest.raises(ValueError, match="the first of 'layers' must have a row for each of the 48 nodes, got 8"):
        run(layers=("embed", "embed"), epochs=1)
    with pytest.raises(ValueError, match="'walks' and 'walk_length' must be at least 1, got 0 and 8"):
        run(layers=("conv", "embed"), walks=0)
