"""Schemes for safety, privacy and lost data by name, and their two benchmarks."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from benchmarks import private, robust
from benchmarks.graph.robust import METHODS, Attack, private_parts
from tests.benchmarks.scenes import run
from tests.core.models import gcn, graph

KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value"}
COSTS = {"parameters", "latency_ms", "train_seconds", "peak_memory_mb"}


@pytest.mark.parametrize("name", METHODS)
def test_a_scheme_runs_by_name(name):
    given, found, before = run(METHODS[name])
    data, teacher, student = given.data, given.teacher, given.student
    if name != "cross_distillation":
        assert found is student
        assert any(not torch.equal(value, before[key]) for key, value in student.state_dict().items())
        return
    rows = data.x[data.train_mask]
    ours, theirs = (model.get_submodule("convs.0.lin").weight.detach() for model in (found, teacher))
    kept = theirs.abs() >= theirs.abs().flatten().quantile(0.5)
    assert bool((ours[~kept] == 0).all())
    fitted, cut = (float((rows @ (weight - theirs).t()).square().sum()) for weight in (ours, kept * theirs))
    assert 0 < fitted < cut  # refitted weights make up for those that are gone


class Scaled(nn.Module):
    def __init__(self, model: nn.Module, by: float) -> None:
        super().__init__()
        self.model, self.by = model, by

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return self.by * self.model(x, edge_index)


def test_large_logits_hide_gradients_from_the_plain_attack_alone():
    data, model = graph(), gcn().eval()
    data.y = model(data.x, data.edge_index).argmax(dim=1)  # all right, so that softmax saturates at the label
    plain, hiding = (robust.withstood(m, data, Attack(0.5), 10, 0) for m in (model, Scaled(model, 1e6)))
    assert plain["accuracy"] == hiding["accuracy"] == 1
    assert plain["pgd"] < 0.8 < hiding["pgd"]
    assert hiding["fgsm"] == 1
    assert hiding["rescaled"] == plain["rescaled"] < 0.8


def test_the_distilled_student_withstands_more(tmp_path):
    out = tmp_path / "rows.jsonl"
    short = ["--dataset", "karate", "--epochs", "20", "--seeds", "1", "--test-steps", "5", "--out", str(out)]
    rows = robust.main([*short, "--methods", "none,kd,ard_plain"])
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    assert all(row.keys() >= KEYS | COSTS and 0 <= row["value"] <= 1 for row in rows)
    value = {(row["method"], row["metric"]): row["value"] for row in rows}
    assert {metric for _, metric in value} == {"accuracy", "pgd", "rescaled", "fgsm"}
    assert value["ard_plain", "pgd"] > value["kd", "pgd"] + 0.2


def test_private_parts_share_neither_rows_nor_edges():
    data = graph()
    data.number = torch.arange(30)
    parts = private_parts(data, torch.arange(5, 25), 4, torch.Generator().manual_seed(0))
    numbers = torch.cat([part.number for part in parts])
    assert numbers.sort().values.tolist() == list(range(5, 25))
    assert all(bool(part.train_mask.all()) for part in parts)
    for part in parts:
        known = {(int(a), int(b)) for a, b in data.edge_index.t()}
        assert all((int(part.number[a]), int(part.number[b])) in known for a, b in part.edge_index.t())


def test_epsilon_is_printed_beside_the_student_of_the_votes(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    short = ["--teachers", "5", "--queries", "20", "--epochs", "3", "--seeds", "1", "--gammas", "0.1,1"]
    rows = private.main([*short, "--out", str(out)])
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    assert all(row.keys() >= KEYS | COSTS for row in rows)
    value = {(row["method"], row["metric"]): row["value"] for row in rows}
    assert {method for method, _ in value} == {"teacher", "labels", "pate_0.1", "pate_1", "votes"}
    for name, gamma in (("pate_0.1", 0.1), ("pate_1", 1.0)):
        each = [
            (20 * min(2 * gamma**2 * order * (order + 1), 2 * gamma * order) + math.log(1e5)) / order
            for order in range(1, 9)
        ]
        assert value[name, "epsilon_of_any_votes"] == pytest.approx(min(each), rel=1e-9)
        assert 0 < value[name, "epsilon"] <= value[name, "epsilon_of_any_votes"]
        assert 0 <= value[name, "labels_right"] <= 1
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("epsilon", "pate_0.1", "votes"))


@pytest.mark.parametrize(
    ("benchmark", "arguments", "message"),
    [
        (robust, ["--epsilon", "0"], "'--epsilon' must be positive, got 0"),
        (robust, ["--methods", "foo"], "'methods' must be among"),
        (private, ["--queries", "0"], "'--queries' must be at least 1, got 0"),
        (private, ["--seeds", "0"], "'--seeds' must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_end_with_a_message(benchmark, arguments, message, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(arguments)
    assert message in capsys.readouterr().err
