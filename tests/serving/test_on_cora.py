"""Serving on real data: a trained teacher fetched, its student by numpy and in int8."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.nn import GCN, MLP

import graphkd
from datasets import load
from datasets.mirror import available
from graphkd.serving import Neighbourhoods, NumpyMLP, answer_fetched, check_fetched, export

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained():
    if not available("planetoid/Cora/raw/ind.cora.x"):
        pytest.skip("Cora is neither in GRAPHKD_MIRROR nor in the cache")
    loaded = load("cora")
    torch.manual_seed(0)
    width, classes = loaded.data.x.size(1), int(loaded.data.y.max()) + 1
    teacher = graphkd.distil("none", GCN(width, 32, 2, classes), None, loaded.data, task=loaded.task, epochs=40).model
    student = MLP([width, 64, classes], dropout=0.5)
    return loaded, teacher, graphkd.distil("kd", student, teacher, loaded.data, task=loaded.task, epochs=40)


def test_the_teacher_by_neighbourhoods(trained):
    loaded, teacher, _ = trained
    data = loaded.data
    nodes = data.test_mask.nonzero().flatten()[:200]
    assert check_fetched(teacher, data, nodes, 2) < 1e-4
    graph = Neighbourhoods(data.edge_index, data.num_nodes)
    with torch.no_grad():
        whole = teacher(data.x, data.edge_index).argmax(1)[nodes]
    one_by_one = torch.cat([answer_fetched(teacher, data.x, graph.fetch([node])) for node in nodes.tolist()])
    assert torch.equal(one_by_one.argmax(1), whole)
    torch.manual_seed(0)
    drawn = answer_fetched(teacher, data.x, graph.fetch(nodes, fan_outs=[15, 10]))
    assert float((drawn.argmax(1) == whole).float().mean()) > 0.95


def test_the_student_by_numpy_and_in_int8(trained, tmp_path):
    loaded, _, result = trained
    data, student = loaded.data, result.model
    with torch.no_grad():
        wanted = student(data.x).numpy()
    assert np.abs(NumpyMLP.of(result)(data.x.numpy()) - wanted).max() < 1e-5 * max(1, np.abs(wanted).max())
    pytest.importorskip("onnxruntime")
    told = export(result, data.x[:2], tmp_path / "student.onnx", int8=True, task=loaded.task, data=data)
    before, after = (told[name]["test"]["accuracy"] for name in ("scores", "exported_scores"))
    assert before > 0.5
    assert abs(after - before) <= 0.003
