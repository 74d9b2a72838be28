"""Changed batches: what is dropped, what stays, and which of them a teacher sees."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Cached, Ensemble, Frozen
from graphkd.core.batches import changed, with_ids
from graphkd.schemes import Changed, drop_edges, drop_edges_and_features, mask_features, told
from graphkd.schemes.augment import asked_anew, noise_of
from graphkd.tasks import NodeClassification
from tests.core.models import NODES, gcn, graph
from tests.tasks.test_heterogeneous import WRITES, Native, papers


def test_changes_leave_the_graph_as_it_is():
    data = graph()
    x, edges = data.x.clone(), data.edge_index.clone()
    torch.manual_seed(0)
    other = drop_edges_and_features(data, 0.5)
    assert torch.equal(data.x, x)
    assert torch.equal(data.edge_index, edges)
    kept = {tuple(edge) for edge in other.edge_index.t().tolist()}
    assert kept < {tuple(edge) for edge in edges.t().tolist()}
    columns = (other.x == 0).all(dim=0)
    assert columns.any()
    assert torch.equal(other.x[:, ~columns], x[:, ~columns])


@pytest.mark.parametrize("change", [drop_edges, mask_features])
def test_a_rate_is_a_share(change):
    data = graph()
    same = change(data, 0.0)
    assert torch.equal(same.x, data.x)
    assert torch.equal(same.edge_index, data.edge_index)
    with pytest.raises(ValueError, match=r"'rate' must be at least 0 and below 1, got 1\.0"):
        change(data, 1.0)


def test_what_belongs_to_an_edge_goes_with_it():
    edges = graph().edge_index
    weights = torch.arange(edges.size(1)).float()
    data = changed(graph(), edge_weight=weights, edge_attr=torch.stack([weights, -weights], dim=1), edge_kinds=3)
    torch.manual_seed(0)
    other = drop_edges(data, 0.5)
    kept = other.edge_weight.long()
    assert 0 < kept.numel() < edges.size(1)
    assert torch.equal(other.edge_index, edges[:, kept])
    assert torch.equal(other.edge_attr[:, 1], -other.edge_weight)
    assert other.edge_kinds == 3


def test_heterogeneous_data_are_changed_type_by_type():
    data = papers()
    whole, edges = NodeClassification(node_type="paper").prepare(data), data[WRITES].edge_index.clone()
    torch.manual_seed(0)
    other = drop_edges_and_features(whole, 0.5)
    assert 0 < other[WRITES].edge_index.size(1) < edges.size(1)
    for kind in data.node_types:
        columns = (other[kind].x == 0).all(dim=0)
        assert columns.any()
        assert torch.equal(other[kind].x[:, ~columns], data[kind].x[:, ~columns])
    assert other["x"] is other["paper"].x  # what a student of features alone sees
    assert torch.equal(data[WRITES].edge_index, edges)
    assert torch.equal(data["author"].x, papers()["author"].x)
    assert torch.equal(with_ids(whole).n_id, torch.arange(len(data["paper"].x)))


@pytest.mark.parametrize("name", ["kdcl_linear", "noisy_student", "function_matching", "stac"])
def test_methods_that_change_graphs_serve_heterogeneous_data(name):
    found = graphkd.distil(
        name, Native(1), Native(2), papers(), task=NodeClassification(node_type="paper"), epochs=1, progress=False
    )
    assert set(found.scores) == {"val", "test"}


def test_what_reads_edges_says_that_there_are_several_types():
    with pytest.raises(ValueError, match=r"LSP reads the edges of one type of nodes, .* have those of \[\('author'"):
        graphkd.distil(
            "lsp",
            Native(1),
            Native(2),
            papers(),
            hidden="first[paper]",
            task=NodeClassification(node_type="paper"),
            epochs=1,
            progress=False,
        )


def test_without_edges_features_alone_are_changed():
    data = {"x": torch.ones(4, 50)}
    assert 0 < float(drop_edges_and_features(data, 0.5)["x"].sum()) < 200
    with pytest.raises(ValueError, match=r"a batch needs 'edge_index' for its edges to be dropped, it has \['x'\]"):
        drop_edges(data)


def test_the_noise_that_was_given_comes_first():
    data = graph()
    assert noise_of(mask_features, 0.5) is mask_features
    torch.manual_seed(0)
    want = drop_edges_and_features(data, 0.4)
    torch.manual_seed(0)
    assert torch.equal(noise_of(None, 0.4)(data).x, want.x)
    with pytest.raises(ValueError, match=r"'rate' must be at least 0 and below 1, got 1\.5"):
        noise_of(None, 1.5)


def test_every_draw_is_another_and_a_cached_teacher_sees_none():
    data, teacher = graph(), gcn(1)
    batches = Changed(data, drop_edges)
    torch.manual_seed(0)
    (one,), (other,) = list(batches), list(batches)
    assert one.edge_index.shape != other.edge_index.shape or not torch.equal(one.edge_index, other.edge_index)
    assert torch.equal(Cached(teacher, data)(one)["logits"], Frozen(teacher)(data)["logits"])
    assert torch.equal(one.n_id, torch.arange(NODES))
    assert "n_id" not in data
    assert with_ids(one) is one
    assert len(Changed(data, drop_edges)) == 1
    assert len(list(Changed([data, data], drop_edges))) == 2


@pytest.mark.parametrize("several", [False, True])
def test_a_teacher_that_is_asked_anew_sees_the_changed_batch(several):
    data, model = graph(), gcn(1)
    torch.manual_seed(0)
    other = with_ids(drop_edges(data, 0.5))
    kept = Cached(model, data)
    teacher = Ensemble([kept, kept]) if several else kept
    assert torch.equal(teacher(other)["logits"], Frozen(model)(data)["logits"])
    assert torch.equal(asked_anew(teacher)(other)["logits"], Frozen(model)(other)["logits"])
    plain = Frozen(model)
    assert asked_anew(plain) is plain


def test_what_is_told_stands_in_the_batch():
    assert told("said")({"said": torch.ones(2, 3)})["logits"].sum() == 6
