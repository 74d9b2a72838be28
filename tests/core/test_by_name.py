from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch as Graphs
from torch_geometric.data import Data, HeteroData

from graphkd.core.by_name import Batch, Inputs, entry, fill, lookup, names, node_types, required
from tests.core.models import graph


class Interaction:
    """The part of RecBole's Interaction that makes it a batch."""

    columns = ("user", "x")

    def __getitem__(self, name):
        return {"user": 1, "x": 2}[name]

    def __contains__(self, name):
        return name in self.columns


@pytest.mark.parametrize("batch", [{"x": 1, "y": 2}, Data(x=torch.ones(1), y=torch.ones(1))])
def test_mappings_and_pyg_data_are_batches(batch):
    assert isinstance(batch, Batch)
    assert sorted(names(batch)) == ["x", "y"]


def test_recbole_interactions_are_batches_and_loaders_are_not():
    assert names(Interaction()) == ["user", "x"]
    assert names([{"x": 1}]) is None
    assert fill(["x"], Interaction(), "test") == {"x": 2}


def test_required_are_the_parameters_without_default():
    def forward(x, edge_index, edge_weight=None, *rest, mask, **options):
        raise NotImplementedError

    assert required(forward) == ("x", "edge_index", "mask")


def test_what_pyg_knows_of_a_batch_is_looked_up_too():
    data, several = graph(), Graphs.from_data_list([graph(), graph()])
    assert lookup(data, ("num_nodes", "num_graphs", "batch_size", "z")) == {"num_nodes": 30}
    assert lookup(several, ("num_nodes", "num_graphs", "batch_size")) == {
        "num_nodes": 60,
        "num_graphs": 2,
        "batch_size": 2,
    }
    data.batch_size = 5
    assert lookup(data, ("batch_size",)) == {"batch_size": 5}
    assert lookup({"x": 1}, ("num_nodes", "batch_size")) == {}


def test_adj_t_stands_in_for_edges():
    assert lookup({"adj_t": 1}, ("edge_index",)) == {"edge_index": 1}
    assert lookup({"adj_t": 1, "edge_index": 2}, ("edge_index", "adj_t")) == {"edge_index": 2, "adj_t": 1}


def test_entries_by_type_are_not_entries():
    data = HeteroData()
    data["paper"].x, data["author"].x, data["name"] = torch.ones(2, 1), torch.ones(3, 1), "top"
    data["author"].y = torch.ones(3)
    assert node_types(data) == ["paper", "author"]
    found = lookup(data, ("x", "y", "x_dict", "edge_index_dict", "name", "num_nodes"))
    assert set(found) == {"x_dict", "name", "num_nodes"}
    assert set(found["x_dict"]) == {"paper", "author"}
    assert node_types(data) == ["paper", "author"]
    assert node_types(Data(node_types=torch.ones(3))) == []
    with pytest.raises(ValueError, match=r"test needs \['y'\].*for each node type, \['author'\]: name the type"):
        fill(["y"], data, "test")


@pytest.mark.parametrize("batch", [{"x": 1}, Data(x=1), Interaction()], ids=["dict", "Data", "Interaction"])
def test_one_entry_or_the_default(batch):
    assert entry(batch, "x") in (1, 2)
    assert entry(batch, "z") is None
    assert entry(batch, "z", 7) == 7


def test_inputs_are_what_is_needed_and_what_the_batch_has_besides():
    def forward(x, edge_index, *rest, edge_weight=None, y=None, mask=None, attn_mask=None, idx_test=None, **more):
        raise NotImplementedError

    inputs = Inputs(forward)
    assert inputs.required == ("x", "edge_index")
    assert inputs.optional == ("edge_weight", "mask")
    held = {"x": 1, "edge_index": 2, "mask": 3, "y": 4}
    assert inputs.of(held, "test") == ({"x": 1, "edge_index": 2, "mask": 3}, ["mask"])
    assert Inputs(forward, skip=2).of(held, "test") == ({"mask": 3}, ["mask"])
    with pytest.raises(KeyError, match=r"test needs \['edge_index'\] from the batch, which has \['x'\]; give call="):
        inputs.of({"x": 1}, "test")
