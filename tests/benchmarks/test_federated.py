"""The benchmark of federated methods, on the karate club."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import federated
from datasets import load

SHORT = ["--dataset", "karate", "--clients", "2", "--alpha", "5", "--rounds", "1", "--local-epochs", "2"]
SHORT += ["--distil-epochs", "2", "--seeds", "1"]


def test_rows_and_table(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    rows = federated.main([*SHORT, "--models", "gcn,mlp", "--methods", "alone,fedavg,fedmd", "--out", str(out)])
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    assert {(row["method"], row["metric"]) for row in rows} == {
        *((method, metric) for method in ("alone", "fedmd") for metric in ("accuracy", "worst_client", "validation")),
        ("fedavg", "error"),  # it cannot average a GCN and an MLP
    }
    assert all(row["student"] == "gcn+mlp" for row in rows)
    assert all(0 <= row["value"] <= 1 for row in rows if row["metric"] != "error")
    assert "must have one architecture, got 2" in capsys.readouterr().out


def test_nobody_learns_validation_test_or_public_labels():
    arguments = federated.parse(SHORT)
    data = load("karate", seed=0).data
    data.n_id = torch.arange(data.num_nodes)
    parts, public, whole = federated.split_up(data, arguments, seed=0)
    learnt = torch.cat([part.n_id[part.train_mask] for part in parts])
    assert torch.equal(learnt.sort().values, whole.train_mask.nonzero()[:, 0])
    assert torch.equal(whole.train_mask | whole.val_mask, data.train_mask | data.val_mask)
    assert not bool((whole.train_mask & whole.val_mask).any())
    assert not bool((whole.test_mask | whole.train_mask | whole.val_mask)[public.n_id].any())


def test_wrong_choices(capsys):
    for options, message in (
        (["--methods", "fedx"], "'fedx' is not a method"),
        (["--models", "x"], "'--models' must"),
    ):
        with pytest.raises(SystemExit):
            federated.parse(options)
        assert message in capsys.readouterr().err
