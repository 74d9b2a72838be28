from __future__ import annotations

import json

import pytest
import torch

import graphkd
from benchmarks import gnn, needs
from benchmarks.gnn import main
from benchmarks.graph.models import HIDDEN, SampledSAGE, build, sample_in_edges
from benchmarks.graph.recipes import TEACHERS
from benchmarks.graph.scene import Scene, fresh
from benchmarks.runs import Place
from tests.core.models import gcn, graph

KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value", "tuned", "settings"}
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
            "--wide",
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


def test_groups_hold_every_method_that_can_be_given_what_it_needs():
    names = {row.name for row in graphkd.methods(task="node_classification")}
    groups = gnn.groups("mlp")
    assert names - set(groups["all"]) == {name for name in names if needs.lacking(gnn.METHODS[name], "mlp")}
    assert {"kd", "rkd", "pkt"} <= set(groups["losses"])
    assert {"glnn", "nosmog", "freekd"} <= set(groups["graph"])
    assert {"dml", "ban", "takd"} <= set(groups["schemes"])
    assert all(group[0] == "none" for name, group in groups.items() if name not in ("all", "response"))
    assert "glnn" not in gnn.groups("gcn")["all"]
    one, *others = (set(groups[name]) - {"none"} for name in ("losses", "graph", "schemes"))
    assert one.union(*others) | {"none"} == set(groups["all"])


def test_what_is_not_in_a_whole_table_is_named(monkeypatch, capsys):
    monkeypatch.setattr(gnn, "tabulate", lambda *_: [])
    main(["--methods", "losses"])
    assert "Not in the table: fsp needs layers of one width" in capsys.readouterr().out


@pytest.mark.parametrize("need", needs.NEEDS)
def test_a_method_of_every_need_runs(need):
    row = next(row for row in gnn.METHODS.values() if need in row.needs)
    scene = Scene("karate", 0, student="mlp", teacher="sage", epochs=2)  # of one width, for layers
    student = gnn.student_of(row, scene, {}, Place())
    assert not student.model.training
    assert all(0 <= found["value"] <= 1 for found in gnn.measured(scene, student, Place()) if found["metric"] != "kl")


def test_further_models_are_trained_once_a_seed(monkeypatch):
    scene, seen, distil = Scene("karate", 0, student="mlp", teacher="gcn", epochs=2), [], Place.distil

    def watched(place, name, *given, **options):
        seen.append(name)
        return distil(place, name, *given, **options)

    monkeypatch.setattr(Place, "distil", watched)
    for name in ("ensemble", "ensemble_logits", "munge"):
        gnn.student_of(gnn.METHODS[name], scene, {}, Place())
    assert seen == ["none"] * 3 + ["ensemble", "ensemble_logits", "munge"]


def test_a_method_is_trained_by_the_students_recipe_or_by_its_paper():
    scene = Scene("karate", 0, student="mlp", teacher="gcn")

    def adam(name: str, **asked: float) -> dict[str, float]:
        keywords = gnn.training(gnn.METHODS[name], scene, asked)["optimizer"].keywords
        return {option: keywords[option] for option in ("lr", "weight_decay")}

    assert adam("kd") == {"lr": 0.01, "weight_decay": 5e-4}
    assert adam("kd", lr=0.1) == {"lr": 0.1, "weight_decay": 5e-4}
    assert gnn.training(gnn.METHODS["kd"], scene, {"epochs": 7, "patience": 0})["epochs"] == 7
    assert gnn.training(gnn.METHODS["cpf_ind"], scene, {}) == {}
    assert adam("cpf_ind", weight_decay=0.1) == {"lr": 0.001, "weight_decay": 0.1}
    scene.epochs = 5
    assert gnn.training(gnn.METHODS["cpf_ind"], scene, {}) == {"epochs": 5}
    assert gnn.training(gnn.METHODS["kd"], scene, {"epochs": 7})["epochs"] == 7


def test_the_gcn_teacher_is_that_of_cpf():
    recipe = TEACHERS["gcn"]
    assert (recipe.hidden, recipe.dropout, recipe.lr, recipe.weight_decay) == (64, 0.8, 0.01, 0.001)
    assert recipe.training()["epochs"] == 499
    assert TEACHERS["sage"].training()["epochs"] == 200


def test_a_fresh_model_has_weights_of_its_own():
    model = gcn(0)
    first, again, other = (fresh(model, seed) for seed in (1, 1, 2))
    assert torch.equal(first.convs[0].lin.weight, again.convs[0].lin.weight)
    assert not torch.equal(first.convs[0].lin.weight, other.convs[0].lin.weight)
    assert not torch.equal(first.convs[0].lin.weight, model.convs[0].lin.weight)


def test_the_inductive_setting_reports_seen_held_out_and_production():
    rows = main(["--dataset", "karate", "--methods", "glnn", "--seeds", "1", "--inductive"])
    values = {row["metric"]: row["value"] for row in rows if row["method"] == "glnn"}
    assert values["accuracy"] == pytest.approx(0.8 * values["accuracy_tran"] + 0.2 * values["accuracy_ind"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "glnn,foo"], "'foo' is not a method; the nearest are"),
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
