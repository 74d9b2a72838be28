"""The benchmarks of students under attack, and of students of noisy votes."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from benchmarks import private, robust
from benchmarks.runs import Place
from datasets import load
from tests.core.models import gcn, graph

KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value"}
COSTS = {"parameters", "latency_ms", "train_seconds", "peak_memory_mb"}


class Scaled(nn.Module):
    def __init__(self, model: nn.Module, by: float) -> None:
        super().__init__()
        self.model, self.by = model, by

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return self.by * self.model(x, edge_index)


def test_large_logits_hide_gradients_from_the_plain_attack_alone():
    data, model = graph(), gcn().eval()
    data.y = model(data.x, data.edge_index).argmax(dim=1)  # all right, so that softmax saturates at the label
    plain, hiding = (robust.withstood(m, data, 0.5, 10, 0) for m in (model, Scaled(model, 1e6)))
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


def test_the_attack_is_given_to_all_who_train_against_one():
    given = robust.parse(["--epsilon", "32", "--steps", "2", "--set", "ard.steps=5"]).given
    assert given["adversarial"] == given["ard_plain"] == {"epsilon": 32 / 255, "steps": 2}
    assert given["ard"] == {"epsilon": 32 / 255, "steps": 5}
    assert given["kd"] == given["defensive"] == {}


def test_nodes_are_private_public_or_tested_and_edges_between_parts_are_left_to_pate():
    data = load("digits", seed=0).data
    data.number = torch.arange(data.num_nodes)
    train, test = private.divide(data, private.parse(["--teachers", "4", "--queries", "7"]), seed=0)
    count = int(private.SHARE * data.num_nodes)
    assert int((train.parts == -1).sum()) == count
    assert int(train.parts.max()) == 3
    assert torch.equal(train.train_mask, train.parts >= 0)
    assert bool(test.test_mask.all())
    assert test.num_nodes == count
    assert torch.cat([train.number, test.number]).sort().values.tolist() == data.number.tolist()
    rows = private.asked(train, 7, seed=0)
    assert rows.unique().numel() == 7
    assert not bool(train.train_mask[rows].any())


def test_what_is_asked_is_what_pate_asks():
    """A teacher that knows most nodes, and votes without noise, give most of their labels right, not a tenth."""
    arguments = private.parse(["--teachers", "1", "--queries", "100", "--epochs", "40"])
    rows = private.run(arguments, "votes", private.NO_NOISE, 0, Place())
    assert next(row["value"] for row in rows if row["metric"] == "labels_right") > 0.85


def test_epsilon_is_printed_beside_the_student_of_the_votes(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    short = ["--teachers", "5", "--queries", "20", "--epochs", "3", "--seeds", "1", "--gammas", "0.1,1", "--wide"]
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
        (robust, ["--methods", "foo"], "'foo' is not a method"),
        (private, ["--queries", "0"], "'--queries' must be at least 1, got 0"),
        (private, ["--seeds", "0"], "'--seeds' must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_end_with_a_message(benchmark, arguments, message, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(arguments)
    assert message in capsys.readouterr().err
