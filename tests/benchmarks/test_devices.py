"""Every method trains where models and graph are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import graphkd
from tests.methods import scene

ROWS = {row.name: row for row in graphkd.methods(task="node_classification")}


def moved(value: Any) -> Any:
    if isinstance(value, list):
        return [moved(each) for each in value]
    if isinstance(value, graphkd.Clients):
        return graphkd.Clients([moved(each) for each in value])
    return value.to("cuda") if isinstance(value, (torch.Tensor, nn.Module)) or hasattr(value, "num_nodes") else value


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("name", ROWS)
def test_trains_on_a_gpu(name):
    given = {key: moved(value) for key, value in scene.arguments(ROWS[name]).items()}
    for value in scene.run(ROWS[name], given).model.state_dict().values():
        assert value.is_cuda
        assert value.isfinite().all()
