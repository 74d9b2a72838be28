"""The benchmark of two peers: alone, together, and what their policies did."""

from __future__ import annotations

import json

import pytest

from benchmarks import freekd

KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value"}
COSTS = {"parameters", "latency_ms", "train_seconds", "peak_memory_mb"}


def test_peers_alone_and_together_and_what_the_policies_did(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    rows = freekd.main(["--dataset", "karate", "--epochs", "20", "--seeds", "1", "--out", str(out)])
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    assert all(row.keys() >= KEYS for row in rows)
    quality = [row for row in rows if row["metric"] == "accuracy"]
    assert [(row["method"], row["seed"]) for row in quality] == [("none", 0), ("none", 1000), ("phi", 0), ("psi", 1000)]
    assert all(row.keys() >= COSTS for row in quality)
    shares = [row for row in rows if row["metric"] in freekd.SHARES]
    assert len(shares) == len(rows) - 8  # two accuracies of four models
    assert {row["epoch"] for row in shares} == set(range(1, 21, 2))
    assert all(0 <= row["value"] <= 1 for row in rows)
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("none", "phi", "psi", *freekd.SHARES))


def test_wrong_arguments_end_with_a_message(capsys):
    with pytest.raises(SystemExit):
        freekd.main(["--seeds", "0"])
    assert "'--seeds' must be at least 1, got 0" in capsys.readouterr().err
