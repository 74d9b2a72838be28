"""The benchmark of federated methods, on the karate club."""

from __future__ import annotations

import json

import pytest

from benchmarks import federated

SHORT = ["--dataset", "karate", "--clients", "2", "--alpha", "5", "--rounds", "1", "--local-epochs", "2"]
SHORT += ["--distil-epochs", "2", "--seeds", "1"]


def test_rows_and_table(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    rows = federated.main([*SHORT, "--models", "gcn,mlp", "--methods", "alone,fedavg,fedmd", "--out", str(out)])
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    assert {(row["method"], row["metric"]) for row in rows} == {
        (method, metric) for method in ("alone", "fedmd") for metric in ("accuracy", "worst_client")
    }  # fedavg cannot average a GCN and an MLP
    assert all(0 <= row["value"] <= 1 and row["student"] == "gcn+mlp" for row in rows)
    assert "must have one architecture, got 2" in capsys.readouterr().out


def test_wrong_choices(capsys):
    for options, message in (
        (["--methods", "fedx"], "a method must be one of"),
        (["--models", "x"], "'--models' must"),
    ):
        with pytest.raises(SystemExit):
            federated.parse(options)
        assert message in capsys.readouterr().err
