from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from graphkd.core.view import Batch, Taps, Viewer, fill, names, required
from tests.core.models import gcn, graph


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


def test_a_missing_input_lists_what_the_batch_has():
    with pytest.raises(KeyError, match=r"GCN.forward needs \['edge_index'\] from the batch, which has \['x'\]"):
        Viewer(gcn())({"x": graph().x})


def test_a_tensor_is_logits_and_a_mapping_is_the_view():
    data, model = graph(), gcn()
    assert torch.equal(Viewer(model)(data)["logits"], model(data.x, data.edge_index))
    assert list(Viewer(model, call=lambda m, batch: {"user": batch.x})(data)) == ["user"]


def test_other_outputs_ask_for_call():
    with pytest.raises(TypeError, match="GCN returned tuple; a view needs a tensor or a mapping"):
        Viewer(gcn(), call=lambda model, batch: (batch.x, batch.y))(graph())


def test_taps_see_outputs_and_inputs_with_gradient():
    data, model = graph(), gcn()
    view = Viewer(model, taps={"hidden": "convs.0", "before": "convs.1:in"})(data)
    assert torch.equal(view["hidden"], model.convs[0](data.x, data.edge_index))
    assert torch.equal(view["before"], view["hidden"].relu())
    view["hidden"].sum().backward()
    assert model.convs[0].lin.weight.grad is not None


def test_a_module_used_twice_needs_a_number():
    shared = nn.ReLU()
    model = nn.Sequential(nn.Linear(2, 2), shared, nn.Linear(2, 2), shared)
    x = torch.randn(3, 2)
    call = lambda m, batch: m(batch["x"])  # noqa: E731
    with pytest.raises(ValueError, match=r"tap 'act' \('1'\) saw 2 calls; choose one, the first as '1#0'"):
        Viewer(model, taps={"act": "1"}, call=call)({"x": x})
    view = Viewer(model, taps={"first": "1#0", "second": "1#1"}, call=call)({"x": x})
    assert torch.equal(view["first"], model[0](x).relu())
    assert torch.equal(view["second"], view["logits"])


def test_a_wrong_path_lists_near_ones():
    with pytest.raises(ValueError, match=r"tap 'h': GCN has no sub-module 'conv.0'; near: \['convs.0'"):
        Taps(gcn(), {"h": "conv.0"})


@pytest.mark.parametrize("path", ["convs.0:out", "convs.0#x"])
def test_a_malformed_path_is_refused(path):
    with pytest.raises(ValueError, match="a tap is 'path', 'path:in' or 'path#number'"):
        Taps(gcn(), {"h": path})


def test_a_bypassed_module_says_why():
    class Bypass(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x):
            return self.inner.forward(x)

    with pytest.raises(ValueError, match=r"tap 'h' \('inner'\) saw no call.*bypassed with .forward\(\)"):
        Viewer(Bypass(), taps={"h": "inner"})({"x": torch.ones(1, 2)})


def test_a_tap_must_see_a_tensor():
    model = nn.Sequential(nn.LSTM(2, 3))
    with pytest.raises(TypeError, match="must see a tensor, got tuple"):
        Viewer(model, taps={"h": "0"}, call=lambda m, batch: m(batch["x"])[0])({"x": torch.ones(1, 2)})


def test_calls_by_others_are_not_recorded():
    data, model = graph(), gcn()
    viewer = Viewer(model, taps={"hidden": "convs.0"})
    model(data.x, data.edge_index)
    assert "hidden" in viewer(data)


def test_the_tapped_model_stays_copyable_and_picklable():
    data, model = graph(), gcn()
    viewer = Viewer(model, taps={"hidden": "convs.0"})
    viewer(data)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(data.x, data.edge_index), model(data.x, data.edge_index))
        assert not any(vars(hook.args[0])["values"] for hook in other.convs[0]._forward_hooks.values())
    viewer.close()
    assert not model.convs[0]._forward_hooks
    with pytest.raises(ValueError, match="saw no call"):
        viewer(data)


def test_taps_work_on_and_under_torch_compile():
    data, model = graph(), gcn()
    want = Viewer(model, taps={"hidden": "convs.0"})(data)["hidden"]
    compiled = torch.compile(gcn(), backend="eager")
    assert torch.equal(Viewer(compiled, taps={"hidden": "convs.0"})(data)["hidden"], want)
