"""The benchmark of students of fake, random and real graphs, and its models."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import graph_free
from benchmarks.graph.classifiers import build
from benchmarks.rows import failed

KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value"}
COSTS = {"parameters", "latency_ms", "train_seconds", "peak_memory_mb"}
SHORT = ["--per-class", "5", "--count", "4", "--epochs", "2", "--teacher-epochs", "2", "--student-epochs", "2"]


@pytest.mark.parametrize("model", ["gcn", "gin"])
def test_students_of_fake_random_and_real_graphs(tmp_path, model, capsys):
    out = tmp_path / "rows.jsonl"
    rows = graph_free.main(["--teacher", model, "--student", "gcn", *SHORT, "--seeds", "1", "--out", str(out)])
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    assert not failed(rows)
    assert all(row.keys() >= KEYS | COSTS for row in rows)
    assert {(row["method"], row["metric"]) for row in rows} == {
        (method, metric) for method in ("teacher", "real", "random", "gfkd") for metric in ("accuracy", "of_teacher")
    }
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("teacher", "real", "random", "gfkd"))


def test_the_teacher_is_kept(tmp_path):
    short = [*SHORT, "--seeds", "1", "--runs", str(tmp_path)]
    first = graph_free.main(short)
    for path in tmp_path.rglob("rows.jsonl"):
        path.unlink()
    again = graph_free.main(short)
    costs = {row["train_seconds"] for rows in (first, again) for row in rows if row["method"] == "teacher"}
    assert len(costs) == 1
    assert [row["value"] for row in first] == [row["value"] for row in again]


def test_all_layers_of_a_graph_model_but_the_first_are_residual():
    model = build("gcn", 8, 2, hidden=8, layers=2).eval()
    x, edges, batch = torch.randn(3, 8), torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.zeros(3, dtype=torch.int64)
    first = model.norms[0](model.convs[0](x, edges)).relu()
    second = first + model.norms[1](model.convs[1](first, edges)).relu()
    torch.testing.assert_close(model(x, edges, batch), model.linear(second.sum(dim=0, keepdim=True)))


def test_an_unknown_graph_model_lists_the_models():
    with pytest.raises(ValueError, match=r"a model must be one of \['gcn', 'gin'\], got 'gat'"):
        build("gat", 4, 2, hidden=8, layers=2)


def test_wrong_arguments_end_with_a_message(capsys):
    with pytest.raises(SystemExit):
        graph_free.main(["--seeds", "0"])
    assert "'--seeds' must be at least 1, got 0" in capsys.readouterr().err
