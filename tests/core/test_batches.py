"""Batches on a device, whatever they hold; ``meta`` stands for one that is not the CPU."""

from __future__ import annotations

import torch
from torch_geometric.data import Data, HeteroData

from graphkd.core.batches import on_device

META = torch.device("meta")


class Matrix:
    """What torch_sparse's SparseTensor can do, as far as it is needed."""

    def __init__(self, value):
        self.value = value

    def sparse_sizes(self):
        return 2, 2

    def device(self):
        return self.value.device

    def to(self, device):
        return Matrix(self.value.to(device))


def test_all_that_a_batch_holds_is_moved_and_the_batch_itself_stays():
    batch = Data(x=torch.ones(2), adj_t=Matrix(torch.ones(2)), x_dict={"a": torch.ones(1)}, name="text", count=3)
    moved = on_device(batch, META)
    places = [moved.x.device, moved.adj_t.device(), moved.x_dict["a"].device]
    assert places == [META] * 3
    assert (moved.name, moved.count) == ("text", 3)
    assert batch.x.device == batch.adj_t.device() == batch.x_dict["a"].device == torch.device("cpu")
    assert on_device(batch, torch.device("cpu")) is batch


def test_a_graph_of_node_types_is_moved():
    data = HeteroData()
    data["paper"].x = torch.ones(2, 1)
    moved = on_device(data, META)
    assert moved["paper"].x.device == META
    assert data["paper"].x.device == torch.device("cpu")
    assert data.node_types == ["paper"]
