"""The benchmark trains a teacher, searches, and writes what it was asked for."""

from __future__ import annotations

import pytest

from benchmarks.compress import main

pytest.importorskip("optuna")


def test_a_search_on_karate(tmp_path, capsys):
    given = ["--dataset", "karate", "--teacher", "gcn", "--trials", "4", "--epochs", "3", "--methods", "kd,none"]
    given += ["--report", str(tmp_path / "report.html"), "--save", str(tmp_path / "student"), "--parameters", "3000"]
    front = main([*given, "--checkpoint", str(tmp_path / "search")])
    told = capsys.readouterr().out
    assert "teacher" in told
    assert "Not trained: mlp-256, " in told
    assert "<svg" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "student" / "card.json").is_file()
    again = main([*given, "--checkpoint", str(tmp_path / "search")])
    assert [dict(each.card) for each in again] == [dict(each.card) for each in front]
