"""The examples of the guide and of the page of tasks run as they stand."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest
import torch
from torch_geometric.nn import MLP

import graphkd
from tests.core.models import gcn, graph

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


def test_the_search_runs(monkeypatch, tmp_path, capsys):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(graphkd, "tune", partial(graphkd.tune, epochs=1, seeds=1))
    (code,) = (text for text in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL) if ".tune(" in text)
    code = code.replace("trials=30", "trials=2").replace("[1433, 128, 7]", "[6, 8, 3]")
    exec(compile(code, "guide.md", "exec"), {"graphkd": graphkd, "MLP": MLP, "teacher": gcn(1), "data": graph()})
    assert "[kd]" in capsys.readouterr().out
    assert (tmp_path / "tuned" / "kd" / "setting.toml").is_file()


TASKS = re.findall(r"```python\n(.*?)```", (GUIDE.parent / "tasks.md").read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("code", TASKS, ids=[re.search(r"tasks import (\w+)", code)[1] for code in TASKS])
def test_the_example_of_each_task_runs(code, monkeypatch, tmp_path, capsys):
    assert len([line for line in code.splitlines() if line.strip()]) <= 25
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    exec(compile(code, "tasks.md", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.count("{") == 2


def test_there_is_an_example_of_each_kind_of_data():
    assert len(TASKS) == 6
