"""Answers by a fetched neighbourhood are those on the whole graph, and refusals say where they would not be."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import APPNP, GAT, GCN, GIN, GCNConv, GraphNorm, GraphSAGE, LayerNorm, SAGEConv, SGConv

from graphkd.serving import Neighbourhoods, answer_fetched, check_fetched

NODES = [5, 0, 41, 5, 39]  # a repeat, and 41 is isolated


def graph(loops=True):
    """Directed, with repeats, loops where asked, and isolated nodes."""
    random = torch.Generator().manual_seed(0)
    edge_index = torch.randint(40, (2, 110), generator=random)
    edge_index = torch.cat([edge_index, edge_index[:, :9], torch.tensor([[3, 3, 5], [3, 3, 5]])], dim=1)
    if not loops:
        edge_index = edge_index[:, edge_index[0] != edge_index[1]]
    return Data(torch.randn(42, 6, generator=random, dtype=torch.float64), edge_index)


def model_of(kind, layers, **options):
    torch.manual_seed(1)
    return kind(6, 8, layers, 3, dropout=0.5, **options).double()


def asked(model, data, hops, edges=None, **options):
    around = Neighbourhoods(data.edge_index, 42).fetch(NODES, hops)
    return answer_fetched(model, data.x, around, edges, **options)


def whole(model, data, **edges):
    with torch.no_grad():
        return model.eval()(data.x, data.edge_index, **edges)[NODES]


@pytest.mark.parametrize("loops", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("kind", [GraphSAGE, GIN, GAT, GCN])
def test_as_on_the_whole_graph(kind, layers, loops):
    model, data = model_of(kind, layers), graph(loops)
    torch.testing.assert_close(asked(model.train(), data, layers), whole(model, data), rtol=1e-10, atol=1e-10)
    assert check_fetched(model, data, NODES, layers) < 1e-10


@pytest.mark.parametrize("options", [{"add_self_loops": False}, {"normalize": False}, {"cached": True}])
def test_forms_of_gcn(options):
    model, data = model_of(GCN, 2, **options), graph()
    found = asked(model, data, 2)
    torch.testing.assert_close(found, whole(model, data), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(asked(model, data, 2), found)  # nothing was cached, and hooks are gone
    assert all(layer.normalize == options.get("normalize", True) for layer in model.convs)
    assert not any(layer._forward_pre_hooks for layer in model.convs)


def test_without_the_whole_graphs_degrees_gcn_is_wrong():
    model, data = model_of(GCN, 2).eval(), graph()
    around = Neighbourhoods(data.edge_index, 42).fetch(NODES, 2)
    with torch.no_grad():
        plain = model(data.x[around.nodes], around.edge_index)[around.place]
    assert float((plain - whole(model, data)).abs().max()) > 1e-3
    farther = Neighbourhoods(data.edge_index, 42).fetch(NODES, 3)
    with torch.no_grad():
        plain = model(data.x[farther.nodes], farther.edge_index)[farther.place]
    torch.testing.assert_close(plain, whole(model, data), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("options", [{}, {"improved": True}])
def test_weights_of_edges(options):
    model, data = model_of(GCN, 2, **options), graph()
    weights = {"edge_weight": torch.rand(data.edge_index.size(1), dtype=torch.float64) + 0.1}
    torch.testing.assert_close(
        asked(model, data, 3, weights, margin=1), whole(model, data, **weights), rtol=1e-10, atol=1e-10
    )


def test_attributes_of_edges():
    model, data = model_of(GAT, 2, edge_dim=2), graph()
    edges = {"edge_attr": torch.rand(data.edge_index.size(1), 2, dtype=torch.float64)}
    # GAT fills a loop's attributes by the mean of those that enter, which the outermost nodes do not need
    torch.testing.assert_close(asked(model, data, 2, edges), whole(model, data, **edges), rtol=1e-10, atol=1e-10)


class Two(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x, edge_index):
        x = self.first(x, edge_index) if not isinstance(self.first, nn.LayerNorm | LayerNorm | nn.BatchNorm1d) else x
        return self.second(x, edge_index)


@pytest.mark.parametrize("kind", [lambda: SGConv(6, 3, K=2), lambda: APPNP(K=2, alpha=0.1)])
def test_degrees_of_sources_take_one_hop_more(kind):
    model, data = kind().double(), graph()
    with pytest.raises(
        TypeError, match="reads degrees of sources: fetch one hop more than it reaches and give margin=1"
    ):
        asked(model, data, 2)
    torch.testing.assert_close(asked(model, data, 3, margin=1), whole(model, data), rtol=1e-10, atol=1e-10)


def test_too_few_hops_are_found():
    model, data = model_of(GraphSAGE, 3), graph()
    with pytest.raises(RuntimeError, match="GraphSAGE must answer by 2 hops as on the whole graph"):
        check_fetched(model, data, NODES, 2)


@torch.no_grad()
def test_fan_outs_weigh_an_edge_by_how_many_it_stands_for():
    model, data = model_of(GCN, 1), graph(loops=False)
    torch.manual_seed(0)
    around = Neighbourhoods(data.edge_index, 42).fetch(NODES, fan_outs=[1])
    assert not around.complete
    found, full = answer_fetched(model, data.x, around), whole(model, data)
    torch.testing.assert_close(found[2], full[2])  # the isolated node's
    entering = torch.bincount(data.edge_index[1], minlength=42).double()
    (source,) = data.edge_index[0, around.edges[data.edge_index[1, around.edges] == 0]].tolist()
    norm = ((entering[0] + 1) * (entering[source] + 1)).sqrt()
    wanted = data.x[0] / (entering[0] + 1) + entering[0] * data.x[source] / norm
    layer = model.convs[0]
    torch.testing.assert_close(found[1], layer.lin(wanted) + layer.bias)


@pytest.mark.parametrize("loops", [True, False])
def test_and_are_right_on_average(loops):
    model, data = model_of(GCN, 1), graph(loops)
    around = Neighbourhoods(data.edge_index, 42)
    torch.manual_seed(0)
    drawn = torch.stack([answer_fetched(model, data.x, around.fetch(NODES, fan_outs=[2])) for _ in range(400)])
    error = drawn.std(0) / 20 + 1e-9
    assert bool(((drawn.mean(0) - whole(model, data)).abs() < 5 * error).all())


class Own(nn.Module):
    def forward(self, x, edge_index):
        return x.sum(0) if x.size(1) == 6 else None


def test_what_is_refused():
    data, sage = graph(), SAGEConv(6, 6).double()
    weights = {"edge_weight": torch.ones(data.edge_index.size(1), dtype=torch.float64)}
    for model, edges, options, match in (
        (Two(sage, GraphNorm(6)), None, {}, "GraphNorm at 'second' normalises by all nodes"),
        (Two(LayerNorm(6, mode="graph"), sage), None, {}, "LayerNorm at 'first' normalises by all nodes"),
        (Two(nn.BatchNorm1d(6, track_running_stats=False), sage), None, {}, "train it with track_running_stats"),
        (SAGEConv(6, 6, flow="target_to_source").double(), None, {}, "sends messages from targets to sources"),
        (GCNConv(6, 3).double(), weights, {}, "sums weights of edges up to degrees of sources"),
        (GCNConv(6, 3, improved=True), None, {}, "GCNConv at 'the top' has improved=True"),
        (GCNConv(6, 3, cached=True), None, {"margin": 1}, "has cached=True"),
    ):
        with pytest.raises(TypeError, match=match):
            asked(model, data, 2, edges, **options)
    with pytest.raises(ValueError, match="'model' must give a row of answers for each of"):
        asked(Own(), data, 1)
    with pytest.raises(ValueError, match=r"'edges' must give 'edge_weight' for each of the graph's .* got \(2,\)"):
        asked(sage, data, 1, {"edge_weight": torch.ones(2)})
    with pytest.raises(ValueError, match="'margin' must be a whole number of at least 0, got -1"):
        asked(sage, data, 1, margin=-1)
    with pytest.raises(ValueError, match=r"'x' must have a row for each of the graph's 42 nodes, got \(41, 6\)"):
        asked(sage, Data(data.x[1:], data.edge_index), 1)
