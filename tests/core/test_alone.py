"""The lone process does what Fabric does on one device."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import NamedTuple

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import MLP

from graphkd import Distiller, fit
from graphkd.core.alone import Alone, precision_of
from graphkd.losses import CE

CPU = torch.device("cpu")
DATA = {"x": torch.randn(30, 6, generator=torch.Generator().manual_seed(0)), "y": torch.arange(30) % 3}


@pytest.mark.parametrize("clip", [None, 0.1])
def test_a_run_ends_with_the_bits_of_fabric(clip):
    torch.manual_seed(0)
    one = MLP([6, 8, 3], dropout=0.5)
    other = copy.deepcopy(one)
    fit(Distiller(one, losses=CE()), DATA, epochs=5, clip=clip)
    fit(Distiller(other, losses=CE()), DATA, epochs=5, clip=clip, fabric=Fabric(accelerator="cpu", devices=1))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_batches_of_any_form_are_moved():
    class Pair(NamedTuple):
        x: torch.Tensor
        y: int

    alone, x = Alone(torch.device("meta")), torch.ones(2)
    moved = alone.to_device([x, (x, Pair(x, 3)), {"x": x, "name": "a"}, Data(x=x), "text"])
    first, (second, pair), named, graph, text = moved
    places = [first, second, pair.x, named["x"], graph.x]
    assert {each.device.type for each in places} == {"meta"}
    assert (pair.y, named["name"], text, type(pair)) == (3, "a", "text", Pair)
    assert x.device == CPU
    batch = {"x": x}
    assert Alone(CPU).to_device(batch) is batch


def test_clipping_leaves_short_gradients_and_refuses_infinite_ones():
    layer = nn.Linear(2, 1)
    optimizer, alone = torch.optim.SGD(layer.parameters()), Alone(CPU)
    for parameter in layer.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    alone.clip_gradients(layer, optimizer, max_norm=1.0)
    norm = torch.cat([parameter.grad.flatten() for parameter in layer.parameters()]).norm()
    assert norm == pytest.approx(1.0, rel=1e-5)
    layer.weight.grad.fill_(float("inf"))
    with pytest.raises(RuntimeError, match="non-finite"):
        alone.clip_gradients(layer, optimizer, max_norm=1.0)


def test_precision_has_fabrics_name():
    assert precision_of(Alone(CPU)) == precision_of(Fabric(accelerator="cpu", devices=1)) == "32-true"
    assert precision_of(Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")) == "bf16-mixed"


def test_importing_and_training_load_no_fabric():
    """It takes seconds to load, with the compiler that it brings along."""
    code = """
import sys, torch, graphkd
assert not {"lightning_fabric", "torch_geometric", "torch._dynamo"} & set(sys.modules), "import"
from graphkd.losses import CE
batch = {"x": torch.ones(3, 2), "y": torch.tensor([0, 1, 0])}
student = torch.nn.Linear(2, 2)
graphkd.fit(graphkd.Distiller(student, losses=CE(), call=lambda model, batch: model(batch["x"])), batch, epochs=1)
assert "lightning_fabric" not in sys.modules, "fit"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
