from __future__ import annotations

import pytest
import torch
from torch import nn

from graphkd.core.taps import Taps, module_path
from graphkd.core.view import Viewer
from tests.core.models import gcn, graph


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


def test_a_watch_sees_one_call_and_its_hooks_end_with_it():
    model, x = nn.Sequential(nn.Linear(2, 3), nn.ReLU()), torch.randn(4, 2)
    taps = Taps(model, {"hidden": "0", "before": "1:in"})
    with taps.watch() as seen:
        model(x)
        assert model[0]._forward_hooks
        assert model[1]._forward_pre_hooks
    assert not model[0]._forward_hooks
    assert not model[1]._forward_pre_hooks
    found = seen.take()
    assert torch.equal(found["hidden"], model[0](x))
    assert torch.equal(found["before"], found["hidden"])
    assert not Taps(model, {})


def test_hooks_end_where_one_of_them_cannot_be_registered():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    taps = Taps(model, {"hidden": "0", "other": "1"})
    model[1].register_forward_hook = None
    with pytest.raises(TypeError), taps.watch():
        pass
    assert not model[0]._forward_hooks


@pytest.mark.parametrize(
    ("path", "module"), [("convs.0", "convs.0"), ("a#1:in", "a"), ("a[0][x]#2", "a"), ("a#b", "a#b"), ("", "")]
)
def test_the_module_of_a_path(path, module):
    assert module_path(path) == module


def test_names_of_modules_may_hold_what_paths_do():
    model = nn.ModuleDict({"a#b": nn.Linear(2, 2)})
    x = torch.ones(1, 2)
    assert torch.equal(
        Viewer(model, taps={"h": "a#b"}, call=lambda m, b: m["a#b"](b["x"]))({"x": x})["h"], model["a#b"](x)
    )


@pytest.mark.parametrize("path", ["0#1#2", "0:in:in"])
def test_a_number_and_a_port_are_given_once(path):
    with pytest.raises(ValueError, match="a tap has one '#number' and one ':in' at most"):
        Taps(nn.Sequential(nn.Linear(2, 2)), {"h": path})
