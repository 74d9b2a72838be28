"""The guide's example of a search runs as it stands."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest
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
