"""The benchmark of serving: its protocol, its forms, its rows, and the page that is made of them."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

import numpy as np
import pytest
import torch

from benchmarks import serving
from benchmarks.runs import Place
from benchmarks.serve import forms, graphs, memory, protocol, recommenders, scenes
from benchmarks.serve.layers import answered, by_layers
from benchmarks.serve.shown import gains, latest, medians
from docs import serving as pages
from graphkd.serving import Form, Neighbourhoods

NAMES = ("scenario", "system", "model", "fetch", "nodes", "batch", "threads", "percentile", "milliseconds")
TINY = ("--quick", "--seconds", "20", "--queries", "10", "--epochs", "2", "--no-memory")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return scenes.Scene(f"{graphs.POWER_LAW}300", 0, 1, Place(), tmp_path_factory.mktemp("scene"))


# ---------------------------------------------------------------- graphs
def test_a_power_law_graph_is_undirected_without_loops_repeats_or_isolated_nodes():
    edges = graphs.power_law(4000, np.random.default_rng(0))
    keys = edges[0] * 4000 + edges[1]
    assert (np.diff(keys) > 0).all()  # sorted, each once
    assert (edges[0] != edges[1]).all()
    assert np.array_equal(np.sort(edges[1] * 4000 + edges[0]), keys)
    degrees = np.bincount(edges[0], minlength=4000)
    assert degrees.min() >= 1
    assert 10 < degrees.mean() < 16
    assert degrees.max() > 10 * degrees.mean()  # hubs
    again = graphs.power_law(4000, np.random.default_rng(0))
    assert np.array_equal(edges, again)


@pytest.mark.parametrize("name", ["nothing", "power-law-", "nci1", "power-law-1"])
def test_other_names_of_graphs_are_refused(name):
    with pytest.raises(ValueError, match="graph must"):
        graphs.graph(name)


# ---------------------------------------------------------------- forms
@pytest.mark.parametrize("entry", forms.entries(), ids=lambda entry: entry.name)
def test_forms_answer_as_their_models_do(entry, scene):
    if "onnx" in entry.model:
        pytest.importorskip("onnxruntime")
    form, ids = entry.make(scene, 1), scene.held_out[:9]
    found = forms.compared(entry, form, scene.reference(forms.plain(entry.model), ids), ids)
    answers = form(ids)
    assert answers.shape == (9, graphs.CLASSES)
    np.testing.assert_allclose(answers.sum(1), 1, rtol=1e-5)
    assert found["largest_difference"] < (1e-5 if entry.exact else 0.2)
    rows, held = forms.size_of(form.gather(ids))
    assert rows >= 9
    assert held > 0
    assert (form.reach(form.gather(ids)) > 0) == bool({"graph", "edge_index"} & set(entry.parts))


def test_a_form_that_answers_otherwise_is_refused(scene):
    entry, ids = forms.entries()[0], scene.held_out[:5]
    wanted = scene.reference(scenes.STUDENT, ids)
    with pytest.raises(RuntimeError, match=r"mlp-2, features must answer as the model does .* differ by 0.01"):
        forms.compared(entry, Form(lambda ids: ids, lambda _: wanted.numpy() + 0.01, len), wanted, ids)


@pytest.mark.parametrize("model", ["sage-2", "sage-3", "gcn-2", "gat-2"])
def test_by_layers_is_the_whole_graph_with_repeats_and_isolated_nodes(model):
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(40, (2, 150), generator=generator)
    x = torch.randn(42, 6, generator=generator)  # 40 and 41 are isolated
    torch.manual_seed(1)
    net, ids = scenes.built(model, 6, 3).eval(), [5, 0, 41, 5, 39]
    around = Neighbourhoods(edges, 42).fetch(ids, scenes.layers_of(model))
    wanted = answered(net, x, edges, ids)
    torch.testing.assert_close(by_layers(net, x[around.nodes], around), wanted, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------- memory
@pytest.mark.skipif(not memory.available(), reason="this system does not say what a process holds")
def test_what_is_held_and_its_peak():
    memory.forget_peak()
    before = memory.held()
    with mmap(-1, 40 << 20, flags=MAP_PRIVATE | MAP_ANONYMOUS) as block:  # an array may take what numpy still holds
        np.frombuffer(block, np.uint8, offset=0)[:] = 1
        assert memory.held() - before > 30
    assert memory.held("VmHWM") - before > 30


@pytest.mark.slow
def test_memory_in_a_process_of_its_own(scene):
    scene.save()
    known = {entry.name: entry for entry in forms.entries()}
    entry = known["fresh, teacher, sage-2, full, by layers"]
    found = memory.measured(entry, scene, 4, 5)
    assert found["peak_mb"] >= found["resident_mb"] > 0
    assert found["tables_mb"] == 0
    with pytest.raises(RuntimeError, match=r"(?s)memory of .* could not be measured: .*'batch' must be from 1"):
        memory.measured(entry, scene, 10_000, 5)


# ---------------------------------------------------------------- recommenders
def test_forms_of_recommenders(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    tables = recommenders.made_up(3000, 8)
    known = {each.fetch: each for each in recommenders.served(tables)}
    assert set(known) == {"topk", "blocked topk", "Retriever", "Retriever, int8"}
    assert "left out: FAISS IVF, width 8: a FAISS index needs the package faiss-cpu" in capsys.readouterr().out
    for name, each in known.items():
        assert recommenders.recalled(each, tables) >= (0.999 if each.exact else 0.9), name
        assert each.form(np.arange(3)).shape == (3, recommenders.K)
    wrong = known["topk"]
    worse = Form(wrong.form.gather, lambda rows: np.tile(np.arange(recommenders.K), (len(rows), 1)), len)
    with pytest.raises(RuntimeError, match="topk, width 8, must give the best 20, its scores are off by"):
        recommenders.recalled(recommenders.Served(worse, 8, "topk", True, 0.0, 0.0), tables)


@pytest.mark.slow
def test_forms_of_faiss():
    pytest.importorskip("faiss", reason="FAISS is not installed")
    tables = recommenders.made_up(20_000, 64)
    known = {each.fetch: each for each in recommenders.served(tables)}
    assert len(known) == 7
    assert recommenders.recalled(known["FAISS flat"], tables) > 0.999
    assert recommenders.recalled(known["FAISS IVF"], tables) > 0.5


# ---------------------------------------------------------------- the command, and the page of its rows
@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    options = [
        "--graphs",
        "karate",
        "--items",
        "200",
        "--widths",
        "8,16",
        "--batches",
        "1,32",
        "--scenarios",
        "static,table",
    ]
    options += ["--out", str(folder / "rows.jsonl"), "--runs", str(folder / "runs")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "BLOCK", 2)
        patch.setattr(protocol, "WARM", 3)
        rows = serving.main([*options, *TINY])
    return folder, options, rows


def test_rows(made):
    folder, _, rows = made
    assert not [row for row in rows if row["metric"] == "error"]
    assert [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()] == rows
    for row in rows:
        assert all(name in row for name in NAMES)
        assert row["scenario"] in serving.SCENARIOS
        assert row["system"] in ("teacher", "student")
        assert row["milliseconds"] > 0
    kinds = {row["method"] for row in rows}
    assert {"closed loop, uniform, hot", "closed loop, uniform, cold", "open loop at 50 %, uniform, hot"} <= kinds
    assert {row["metric"] for row in rows} == {"accuracy", "recall@20"}


def test_what_is_there_is_not_run_again(made, monkeypatch):
    _, options, rows = made
    monkeypatch.setattr(serving.OfGraph, "scene", lambda *_: pytest.fail("it was made again"))
    assert serving.main([*options, *TINY]) == rows


def measured(scenario, system, model, fetch, ms, dataset="cora", batch=1, **more):
    about = {"dataset": dataset, "method": "closed loop, uniform, hot", "seed": 0, "batch": batch, "threads": 1}
    timed = {"percentile": 50, "milliseconds": ms, "cpu_milliseconds": ms, "busy": False, "fetch_milliseconds": ms / 2}
    judged = {"metric": "accuracy", "value": 0.8, "same_class": 1.0, "edges_mean": 7.0, "edges_correlation": 0.5}
    form = {"scenario": scenario, "system": system, "model": model, "fetch": fetch, "nodes": 2708}
    return {**about, **timed, **judged, **form, "torch": "2", "device": "a processor", **more}


ROWS = [
    measured("fresh", "student", "mlp-2", "features", 0.1),
    measured("fresh", "student", "mlp-2 numpy", "features", 0.05, value=0.797),
    measured("fresh", "teacher", "sage-2", "full", 0.4),
    measured("fresh", "teacher", "sage-2", "full, by layers", 0.3),
    measured("fresh", "teacher", "sage-2", "full, PyG k_hop_subgraph", 40.0, busy=True, cpu_milliseconds=30.0),
    measured("table", "teacher", "sage-2", "answers kept", 0.01),
]


def test_gains():
    found = {each.teacher["fetch"]: each for each in gains(ROWS, "mlp-2")}
    assert "features" in found  # the student by numpy
    assert found["full"].times == pytest.approx(4)
    assert found["answers kept"].times == pytest.approx(0.1)
    assert found["full, PyG k_hop_subgraph"].times == pytest.approx(300)  # the processor's: it was busy
    assert [pages.band(times) for times in (0.1, 1.7, 1.8, 9, 10, 94, 95, 1000)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert medians(latest([*ROWS, {**ROWS[0], "milliseconds": 9.0}]))[0]["milliseconds"] == 9.0


def test_the_page_says_what_rows_say():
    text = pages.page(ROWS)
    table = next(line for line in text.splitlines() if line.startswith("| sage-2 | full |"))
    assert table == "| sage-2 | full |  | cora: 1 (4) |  |  |"
    assert "| table: sage-2 | answers kept | cora: 1 (0.1) |  |  |  |" in text
    assert "cora: 1 (300*)" in text
    assert "| cora | mlp-2 numpy, features | 79.7 % | +0.30 | 100.0 % | 1: 2x |" in text
    assert "| cora | 1 | 30* | 75x | 100x |  |" in text
    quiet = pages.page([{**row, "busy": False} for row in ROWS])
    assert "| cora | 1 | 40 | 100x | 133x | 100x |" in quiet
    with pytest.raises(ValueError, match="rows must hold medians of a closed loop"):
        pages.page([])


def test_the_page_and_the_picture_of_a_run(made, tmp_path):
    folder, _, _ = made
    pages.main([str(folder / "runs"), "--out", str(tmp_path / "serving.md")])
    text = (tmp_path / "serving.md").read_text()
    assert "### karate, 34 nodes" in text
    assert "## Recommenders" in text
    assert (tmp_path / "serving.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (
            ["--graphs", "nothing"],
            "'--graphs' must be data sets of classified nodes, or power-law-NODES, got 'nothing'",
        ),
        (["--scenarios", "stale"], "'--scenarios' must be of fresh, static, table, got stale"),
        (["--items", "3"], "'--items' must be at least 20, got 3"),
        (["--batches", "0"], "must be numbers of at least 1, got 0"),
        (["--seconds", "0"], "'--seconds' must be more than 0, got 0.0"),
    ],
)
def test_what_is_refused(argv, said, capsys):
    with pytest.raises(SystemExit):
        serving.parse(argv)
    assert said in capsys.readouterr().err


def test_quick_leaves_the_million_out():
    quick: Namespace = serving.parse(["--quick"])
    assert quick.graphs == ["cora", "wordnet", "power-law-100000"]
    assert quick.items == [10_000, 100_000]
    assert (quick.queries, quick.threads) == (1000, None)
    assert serving.parse([]).graphs[-1] == "power-law-1000000"
    assert serving.parse(["--graphs", "none", "--items", "none"]).graphs == []
