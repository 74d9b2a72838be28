"""The examples of the pages for graphs run as they stand."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
import torch
from torch_geometric.loader import RandomNodeLoader
from torch_geometric.nn import MLP

import graphkd
from tests.core.models import gcn, graph
from tests.docs.blocks import DOCS, RUN, block, blocks, run


@pytest.mark.parametrize("word", RUN["guides/tasks.md"])
def test_the_example_of_each_task_runs(word, monkeypatch, tmp_path, capsys):
    code = block("guides/tasks.md", word)
    assert len([line for line in code.splitlines() if line.strip()]) <= 25
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    run(code, "tasks.md")
    assert capsys.readouterr().out.count("{") == 2


def test_there_is_an_example_of_each_kind_of_data():
    assert len(blocks("guides/tasks.md")) == 6


def test_the_search_runs(monkeypatch, tmp_path, capsys):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(graphkd, "tune", partial(graphkd.tune, epochs=1, seeds=1))
    code = block("guides/tuning.md", ".tune(").replace("trials=30", "trials=2").replace("[1433, 128, 7]", "[6, 8, 3]")
    run(code, "tuning.md", {"graphkd": graphkd, "MLP": MLP, "teacher": gcn(1), "data": graph()})
    assert "[kd]" in capsys.readouterr().out
    assert (tmp_path / "tuned" / "kd" / "setting.toml").is_file()


def test_a_new_user_compresses_a_graph_of_a_file(monkeypatch, tmp_path, capsys):
    data = graph()
    masks = {name: data[name] for name in ("train_mask", "val_mask", "test_mask") if name in data}
    arrays = {"x": data.x, "edge_index": data.edge_index, "y": data.y, **masks}
    np.savez(tmp_path / "graph.npz", **{name: value.numpy() for name, value in arrays.items()})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(graphkd, "distil", partial(graphkd.distil, epochs=2, progress=False))
    run(block("index.md", "read_graph"), "index.md")
    assert "accuracy" in capsys.readouterr().out
    assert (tmp_path / "student" / "card.json").is_file()


def test_precision_and_devices_come_by_fabric(monkeypatch):
    monkeypatch.setattr(graphkd, "distil", partial(graphkd.distil, epochs=1, progress=False))
    data = graph()
    data.n_id = torch.arange(data.num_nodes)
    loader = RandomNodeLoader(data, num_parts=2)
    names = {"graphkd": graphkd, "student": gcn(2), "teacher": gcn(1), "loader": loader}
    found = run(block("guides/processes.md", "Fabric"), "processes.md", names)
    assert all(weight.isfinite().all() for weight in found["result"].model.parameters())


def test_the_method_of_contributing_trains():
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS.parent / "CONTRIBUTING.md").read_text(), flags=re.DOTALL)
    method = run(code, "CONTRIBUTING.md")["edge_agreement_method"]
    result = graphkd.distil(method, gcn(2), gcn(1), graph(), hidden="convs.0", epochs=1, progress=False)
    assert 0 <= result.scores["test"]["accuracy"] <= 1
