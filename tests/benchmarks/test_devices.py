"""Every method of the GNN benchmark trains where models and graph are."""

from __future__ import annotations

import pytest
import torch

from benchmarks.graph.methods import METHODS
from tests.benchmarks.test_gnn_students import lesson
from tests.core.models import graph


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("name", METHODS)
def test_trains_on_a_gpu(name):
    given = lesson(graph().to("cuda"))
    given.student.to("cuda")
    given.teacher.to("cuda")
    for value in METHODS[name](given).state_dict().values():
        assert value.is_cuda
        assert value.isfinite().all()
