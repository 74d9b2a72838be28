from __future__ import annotations

import json

import pytest
import torch

import graphkd.losses
from benchmarks.gnn import main
from benchmarks.graph.lessons import Lesson
from benchmarks.graph.losses import LEFT_OUT, LOSSES
from benchmarks.graph.methods import GRAPH
from benchmarks.graph.models import HIDDEN, SampledSAGE, build, sample_in_edges
from graphkd import Loss
from tests.core.models import graph

KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value"}
COSTS = {"parameters", "latency_ms", "train_seconds", "step_ms", "peak_memory_mb"}


def test_at_most_fan_out_edges_are_drawn_into_a_node_without_replacement():
    torch.manual_seed(0)
    edges = torch.stack([torch.arange(20), torch.zeros(20, dtype=torch.long)])
    edges = torch.cat([edges, torch.tensor([[3, 4], [7, 7]])], dim=1)
    counts = torch.zeros(20)
    for _ in range(2000):
        drawn = sample_in_edges(edges, 5, 20)
        into_first = drawn[0, drawn[1] == 0]
        assert into_first.unique().size(0) == 5
        assert int((drawn[1] == 7).sum()) == 2
        counts[into_first] += 1
    expected = 2000 * 5 / 20
    assert ((counts - expected).abs() < 5 * (expected * 0.75) ** 0.5).all()  # five standard deviations


def test_sage_averages_neighbours_and_the_node_itself_twice():
    data = graph()
    model = SampledSAGE([6, 4]).eval()
    want = []
    for node in range(30):
        neighbours = [*data.edge_index[0, data.edge_index[1] == node].tolist(), node, node]
        want.append(model.convs[0].linear(data.x[neighbours]).mean(dim=0))
    torch.testing.assert_close(model(data.x, data.edge_index), torch.stack(want))


@pytest.mark.parametrize("name", sorted(HIDDEN))
def test_every_model_trains_and_has_its_hidden_layer(name):
    data = graph()
    model = build(name, 6, 3, hidden=8, dropout=0.5)
    output = model(data.x) if name == "mlp" else model(data.x, data.edge_index)
    output.sum().backward()
    assert output.shape == (30, 3)
    assert model.get_submodule(HIDDEN[name]) is not None


def test_an_unknown_model_lists_the_models():
    with pytest.raises(ValueError, match=r"a model must be one of \['gat', 'gcn', 'mlp', 'sage'\], got 'gin'"):
        build("gin", 6, 3, hidden=8, dropout=0.5)


def test_the_benchmark_writes_a_line_per_value_a_table_and_a_picture(tmp_path, capsys):
    out, picture = tmp_path / "rows.jsonl", tmp_path / "plot.png"
    chosen = ["none", "kd", "rkd", "glnn"]
    main(
        [
            "--dataset",
            "karate",
            "--methods",
            ",".join(chosen),
            "--seeds",
            "2",
            "--out",
            str(out),
            "--plot",
            str(picture),
        ]
    )
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 2 * 3 * (1 + len(chosen))  # seeds x metrics x models
    assert all(row.keys() >= KEYS | COSTS for row in rows)
    assert {row["metric"] for row in rows} == {"accuracy", "agreement", "kl"}
    assert {row["seed"] for row in rows} == {0, 1}
    assert all(0 <= row["value"] <= 1 for row in rows if row["metric"] != "kl")
    assert all(row["value"] >= 0 for row in rows)
    assert picture.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("teacher", *chosen, "speed-up"))


def test_every_method_runs_and_the_losses_that_cannot_are_named_with_a_reason(capsys):
    rows = main(
        ["--dataset", "karate", "--teacher", "gcn", "--methods", "losses,graph", "--seeds", "1", "--epochs", "3"]
    )
    # Schemes have tests of their own.
    assert {row["method"] for row in rows} == {"teacher", "none", *LOSSES, *GRAPH}
    printed = capsys.readouterr().out
    assert all(f"{name} needs {reason}" in printed for name, reason in LEFT_OUT.items())


def test_every_loss_is_in_the_table_or_left_out_for_a_reason(monkeypatch):
    """By training each for no epoch, and looking at what was to be trained."""
    data, found = graph(), set()
    teacher, student = (build(name, 6, 3, hidden=8, dropout=0.0) for name in ("gcn", "mlp"))

    def look(task, *_, **__):
        found.update(type(loss).__name__ for loss in task.losses)
        task.close()

    monkeypatch.setattr("benchmarks.graph.lessons.fit", look)
    for train in LOSSES.values():
        train(Lesson(student, teacher, data, (HIDDEN["mlp"], HIDDEN["gcn"]), {"seed": 0}))
    losses = {name for name, kind in vars(graphkd.losses).items() if isinstance(kind, type) and issubclass(kind, Loss)}
    assert sorted(losses - {"Loss", "Sum"} - found - set(LEFT_OUT)) == []
    assert sorted(found & set(LEFT_OUT)) == []


def test_the_inductive_setting_reports_seen_held_out_and_production():
    rows = main(["--dataset", "karate", "--methods", "glnn", "--seeds", "1", "--inductive"])
    values = {row["metric"]: row["value"] for row in rows if row["method"] == "glnn"}
    assert values["accuracy"] == pytest.approx(0.8 * values["accuracy_tran"] + 0.2 * values["accuracy_ind"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "glnn,foo"], "'methods' must be among"),
        (["--dataset", "foo"], "invalid choice: 'foo'"),
        (["--seeds", "0"], "'--seeds' must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_end_with_a_message(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


def test_the_embedded_data_shows_distillation_at_work():
    rows = main(["--dataset", "digits", "--methods", "none,glnn", "--seeds", "1"])
    value = {row["method"]: row["value"] for row in rows if row["metric"] == "accuracy"}
    assert value["teacher"] > 0.94
    assert value["glnn"] > value["none"] + 0.01
