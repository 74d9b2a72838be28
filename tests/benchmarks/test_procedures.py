from __future__ import annotations

import json

import pytest
import torch

from benchmarks import freekd, graph_free
from benchmarks.graph.classifiers import build
from benchmarks.graph.lessons import Lesson
from benchmarks.graph.procedures import METHODS, fresh
from graphkd.tasks import accuracy
from tests.core.models import gcn, graph

KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value"}
COSTS = {"parameters", "latency_ms", "train_seconds", "peak_memory_mb"}


def test_a_fresh_model_has_weights_of_its_own():
    model = gcn(0)
    first, again, other = (fresh(model, seed) for seed in (1, 1, 2))
    assert torch.equal(first.convs[0].lin.weight, again.convs[0].lin.weight)
    assert not torch.equal(first.convs[0].lin.weight, other.convs[0].lin.weight)
    assert not torch.equal(first.convs[0].lin.weight, model.convs[0].lin.weight)


def test_freekd_trains_the_student_and_not_the_teacher():
    data, student, teacher, seen = graph(), gcn(0), gcn(1), []
    before = [p.clone() for p in (*student.parameters(), *teacher.parameters())]

    def metric(model):
        seen.append(model)
        return accuracy(model, data, "val_mask")

    trained = METHODS["freekd"](
        Lesson(student, teacher, data, ("convs.0", "convs.0"), {"epochs": 3, "seed": 0, "metric": metric})
    )
    assert trained is student
    assert all(model is student for model in seen)
    changed = [
        not torch.equal(a, b) for a, b in zip(before, (*student.parameters(), *teacher.parameters()), strict=True)
    ]
    assert changed == [True] * 4 + [False] * 4


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


@pytest.mark.parametrize("model", ["gcn", "gin"])
def test_students_of_fake_random_and_real_graphs(tmp_path, model, capsys):
    out = tmp_path / "rows.jsonl"
    short = [
        "--per-class",
        "5",
        "--count",
        "4",
        "--epochs",
        "2",
        "--teacher-epochs",
        "2",
        "--student-epochs",
        "2",
        "--seeds",
        "1",
    ]
    rows = graph_free.main(["--family", "shapes", "--teacher", model, "--student", "gcn", *short, "--out", str(out)])
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    assert all(row.keys() >= KEYS | COSTS for row in rows)
    assert {(row["method"], row["metric"]) for row in rows} == {
        (method, metric) for method in ("teacher", "real", "random", "gfkd") for metric in ("accuracy", "of_teacher")
    }
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("teacher", "real", "random", "gfkd"))


@pytest.mark.parametrize("benchmark", [freekd, graph_free])
def test_wrong_arguments_end_with_a_message(benchmark, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--seeds", "0"])
    assert "'--seeds' must be at least 1, got 0" in capsys.readouterr().err


def test_all_layers_of_a_graph_model_but_the_first_are_residual():
    model = build("gcn", 8, 2, hidden=8, layers=2).eval()
    x, edges, batch = torch.randn(3, 8), torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.zeros(3, dtype=torch.int64)
    first = model.norms[0](model.convs[0](x, edges)).relu()
    second = first + model.norms[1](model.convs[1](first, edges)).relu()
    torch.testing.assert_close(model(x, edges, batch), model.linear(second.sum(dim=0, keepdim=True)))


def test_an_unknown_graph_model_lists_the_models():
    with pytest.raises(ValueError, match=r"a model must be one of \['gcn', 'gin'\], got 'gat'"):
        build("gat", 4, 2, hidden=8, layers=2)
