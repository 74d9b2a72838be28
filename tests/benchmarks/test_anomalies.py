from __future__ import annotations

import json

import pytest
import torch

from benchmarks import anomalies
from tests.core.models import graph


def test_odd_nodes_get_features_from_far_away():
    data = graph()
    found = anomalies.disturbed(data, 0.3, seed=1)
    odd = found.odd
    assert int(odd.sum()) == 3
    assert not (odd & (data.train_mask | data.val_mask)).any()
    assert torch.equal(found.x[~odd], data.x[~odd])
    for node in odd.nonzero()[:, 0].tolist():
        (source,) = (data.x == found.x[node]).all(dim=1).nonzero()[:, 0].tolist()
        far = torch.linalg.vector_norm(data.x - data.x[node], dim=1)
        assert far[source] > far.quantile(0.8)
    assert torch.equal(anomalies.disturbed(data, 0.3, seed=1).x, found.x)


def test_every_method_runs_by_name(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    rows = anomalies.main(["--dataset", "karate", "--epochs", "3", "--seeds", "1", "--out", str(out)])
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    assert [row["method"] for row in rows] == list(anomalies.METHODS)
    assert all(0 <= row["value"] <= 1 and row["metric"] == "auc" for row in rows)
    assert "ordinal" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [(["--methods", "guess"], "'guess' is not a method"), (["--seeds", "0"], "'--seeds' must be at least 1, got 0")],
)
def test_wrong_arguments_end_with_a_message(given, said, capsys):
    with pytest.raises(SystemExit):
        anomalies.main(given)
    assert said in capsys.readouterr().err
