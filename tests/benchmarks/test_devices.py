"""Every method of the GNN benchmark trains where models and graph are."""

from __future__ import annotations

import pytest
import torch

from benchmarks.graph.methods import METHODS
from tests.benchmarks.scenes import mlp_lesson
from tests.core.models import graph


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("name", METHODS)
def test_trains_on_a_gpu(name):
    for value in METHODS[name](mlp_lesson(graph().to("cuda"))).state_dict().values():
        assert value.is_cuda
        assert value.isfinite().all()
