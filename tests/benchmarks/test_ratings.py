from __future__ import annotations

import json

import pytest

from benchmarks import ratings

KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value"}
COSTS = {"parameters", "latency_ms", "train_seconds", "peak_memory_mb"}


def test_every_method_runs_by_name(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    short = ["--dataset", "generated", "--epochs", "2", "--seeds", "1", "--teacher", "8", "--student", "2"]
    rows = ratings.main([*short, "--methods", "all", "--out", str(out)])
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    assert all(row.keys() >= KEYS | COSTS for row in rows)
    assert [row["method"] for row in rows] == ["teacher", *ratings.METHODS]
    assert all(0.1 < row["value"] < 3 for row in rows)
    assert len({row["parameters"] for row in rows}) == 2
    assert len({row["value"] for row in rows}) == len(rows)
    printed = capsys.readouterr().out
    assert all(name in printed for name in ratings.METHODS)


def test_wrong_arguments_end_with_a_message(capsys):
    with pytest.raises(SystemExit):
        ratings.main(["--methods", "guess"])
    assert "a method must be one of none, regression" in capsys.readouterr().err
