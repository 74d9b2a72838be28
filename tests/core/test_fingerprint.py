from __future__ import annotations

import functools
from argparse import Namespace
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric import EdgeIndex
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import DataLoader, RandomNodeLoader

from graphkd.core import fingerprint as module
from graphkd.core.fingerprint import attributes_of, fingerprint, graph_fingerprint, model_fingerprint, state_fingerprint
from tests.core.models import graph

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.binary()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=2), inner), max_leaves=6)


@settings(max_examples=50, deadline=None)
@given(one=VALUES, other=VALUES)
def test_two_values_have_one_fingerprint_only_if_they_are_equal(one, other):
    assert (fingerprint(one) == fingerprint(other)) == (repr(_sorted(one)) == repr(_sorted(other)))


def _sorted(value):
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(part) for part in value] if isinstance(value, list) else value


def test_dtype_shape_and_every_value_of_a_tensor_count_and_its_layout_does_not():
    x = torch.arange(6.0).view(2, 3)
    different = [x, x.double(), x.view(3, 2), x.flatten(), x + torch.eye(2, 3), x[:1], x[:0], x.bool(), x.bfloat16()]
    different += [x.long(), x.to_sparse(), (x + 1).to_sparse(), torch.tensor(0.0), torch.tensor(1.0)]
    assert len({fingerprint(tensor) for tensor in different}) == len(different)
    assert fingerprint(x.t().contiguous().t()) == fingerprint(x)
    assert fingerprint(EdgeIndex(torch.tensor([[0, 1], [1, 0]]))) == fingerprint(torch.tensor([[0, 1], [1, 0]]))
    assert fingerprint({"a": x, "b": 1}) == fingerprint({"b": 1, "a": x})


def test_the_size_of_a_block_does_not_count(monkeypatch):
    tensors = [torch.randn(7, 3), torch.randint(9, (2, 11)), torch.randn(5)]
    want = fingerprint(tensors)
    monkeypatch.setattr(module, "_BLOCK", 4)
    assert fingerprint(tensors) == want


def test_what_has_no_fingerprint_is_named():
    with pytest.raises(
        TypeError, match="a fingerprint needs tensors, numbers, text and containers of them, got object"
    ):
        fingerprint([object()])


def test_a_model_is_its_state_and_the_classes_of_its_parts():
    def model(activation=nn.ReLU, bias=0.0):
        torch.manual_seed(0)
        made = nn.Sequential(nn.Linear(2, 3), activation(), nn.BatchNorm1d(3))
        nn.init.constant_(made[0].bias, bias)
        return made

    want = model_fingerprint(model())
    assert model_fingerprint(model().eval().requires_grad_(False)) == want
    assert model_fingerprint(torch.compile(model(), backend="eager")) == want
    moved = model()
    moved(torch.randn(4, 2))  # moves the running mean of the norm
    others = [model(nn.Tanh), model(bias=1.0), model().double(), moved]
    assert len({want, *map(model_fingerprint, others)}) == 5


def test_a_graph_is_what_the_model_reads_of_it():
    data, wanted = graph(), ("x", "edge_index")
    want = graph_fingerprint(data, wanted)
    other = data.clone()
    other.train_mask, other.n_id = ~data.train_mask, torch.arange(30)
    assert graph_fingerprint(other, wanted) == want
    assert graph_fingerprint(RandomNodeLoader(other, 3), wanted) == want
    assert graph_fingerprint({"x": data.x, "edge_index": data.edge_index}, wanted) == want
    assert graph_fingerprint(other, None) != graph_fingerprint(data, None)
    other.edge_index = data.edge_index.flip(0)
    assert graph_fingerprint(other, wanted) != want


def test_a_sequence_of_batches_is_all_of_them_with_their_ids():
    graphs = [Data(x=torch.full((2, 1), float(i)), edge_index=torch.tensor([[0], [1]]), n_id=[i]) for i in range(3)]
    want = graph_fingerprint(graphs, ("x", "edge_index", "batch"))
    assert graph_fingerprint(DataLoader(graphs, 2, shuffle=True), ("x", "edge_index", "batch")) == want
    assert graph_fingerprint(graphs[::-1], ("x", "edge_index", "batch")) != want
    graphs[1].n_id, graphs[2].n_id = graphs[2].n_id, graphs[1].n_id
    assert graph_fingerprint(graphs, ("x", "edge_index", "batch")) != want


def test_a_loader_that_does_not_say_what_it_reads_is_refused():
    with pytest.raises(
        ValueError, match="'data' must be a batch, a sequence of batches, or a loader that has its graph"
    ):
        graph_fingerprint(iter([graph()]), None)


class Layout(Enum):
    ROWS = 1


@dataclass
class Options:
    layers: int


class Net(nn.Module):
    def __init__(self, **settings):
        super().__init__()
        torch.manual_seed(0)
        self.lin = nn.Linear(2, 2)
        for name, value in settings.items():
            setattr(self, name, value)


def times(k):
    return lambda x: k * x


NUMBERS = [2, 3, 2.0, "2", True, (2, 3), [2, None], {"a": 2}, {2}, Layout.ROWS, torch.float32]
FUNCTIONS = [torch.relu, torch.tanh, nn.Linear, times(2), times(3), lambda x: x.relu(), lambda x: x.tanh()]
FUNCTIONS += [functools.partial(torch.add, alpha=2), functools.partial(torch.add, alpha=3)]
OBJECTS = [SimpleNamespace(layers=2), Namespace(layers=3), Options(4), Options(5)]
SETTINGS = [*NUMBERS, *FUNCTIONS, *OBJECTS]


def test_a_model_is_its_plain_public_attributes_too():
    found = [model_fingerprint(Net(k=value)) for value in SETTINGS]
    assert len(set(found)) == len(SETTINGS)
    assert found == [model_fingerprint(Net(k=value)) for value in SETTINGS]
    assert model_fingerprint(Net(j=2)) not in found
    assert model_fingerprint(Net(k=np.float32(2))) == found[2]


def test_what_is_private_or_a_cache_or_no_setting_is_no_part_of_a_model():
    want = model_fingerprint(Net())
    for other in ({"_k": 2}, {"k": None}, {"k": torch.ones(3)}, {"k": object()}, {"k": [torch.ones(2)]}):
        assert model_fingerprint(Net(**other)) == want
    assert model_fingerprint(Net().eval()) == want


def test_long_settings_are_kept_short():
    found = attributes_of(Net(words=[str(number) for number in range(1000)]))
    other = attributes_of(Net(words=[str(number) for number in range(1001)]))
    assert found["words"][:8] == other["words"][:8]
    assert found["words"] != other["words"]
    assert len(found["words"]) < 60
    assert found["lin.in_features"] == "2"


def test_sparse_matrices_of_torch_sparse_arrays_and_lazy_weights_have_fingerprints():
    class Matrix:
        def __init__(self, scale):
            self.parts = torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([1.0, scale])

        def coo(self):
            return self.parts

        def sparse_sizes(self):
            return 2, 2

    assert fingerprint([Matrix(1.0)]) == fingerprint([Matrix(1.0)]) != fingerprint([Matrix(2.0)])
    assert fingerprint(np.eye(2)) == fingerprint(np.eye(2)) != fingerprint(np.zeros((2, 2)))
    assert state_fingerprint(nn.LazyLinear(3)) == state_fingerprint(nn.LazyLinear(4))
    assert fingerprint(torch.eye(3).to_sparse_csr()) == fingerprint(torch.eye(3).to_sparse())


def test_a_graph_of_node_types_is_its_entries_and_stays_as_it_is():
    def hetero(value):
        data = HeteroData()
        data["paper"].x = torch.full((2, 1), value)
        data["paper", "cites", "paper"].edge_index = torch.tensor([[0], [1]])
        return data

    for wanted in (None, ("x_dict", "edge_index_dict")):
        data = hetero(1.0)
        assert graph_fingerprint(data, wanted) == graph_fingerprint(hetero(1.0), wanted)
        assert graph_fingerprint(data, wanted) != graph_fingerprint(hetero(2.0), wanted)
        assert data.node_types == ["paper"]
