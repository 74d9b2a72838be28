"""The page's examples run as they stand."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

import graphkd
import recsys
from tests.core.models import gcn, graph
from tests.methods import recommenders

pytest.importorskip("optuna")
PAGE = (Path(__file__).parents[2] / "docs" / "compress.md").read_text()
GRAPHS, RECOMMENDERS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FEW = {"trials": 2, "epochs": 1, "progress": False}


def test_of_graphs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    students = {"students": [partial(gcn, 2)], "methods": ["kd"], "latency": lambda _: 0.1}
    monkeypatch.setattr(graphkd, "compress", partial(graphkd.compress, **FEW, **students))
    exec(compile(GRAPHS, "compress.md", "exec"), {"teacher": gcn(1), "data": graph()})
    assert "teacher" in capsys.readouterr().out
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "student" / "card.json").is_file()


def test_of_recommenders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fast = {**FEW, "latency": lambda _: 0.1, "methods": ["none"]}

    def few(*given, trials, **options):
        assert trials == 20
        return compress(*given, **{**options, **fast})

    compress = recsys.compress
    monkeypatch.setattr(recsys, "compress", few)
    exec(
        compile(RECOMMENDERS, "compress.md", "exec"), {"teacher": recommenders.mf(1, 8), "split": recommenders.split()}
    )
    assert (tmp_path / "service" / "card.json").is_file()
