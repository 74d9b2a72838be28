"""The command: files are read strictly, nothing in them runs, and a folder with a student is written."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch_geometric.data import Data, HeteroData

from graphkd import Distilled
from graphkd.__main__ import main
from graphkd.compressing.files import make_teacher, read_answers, read_data
from graphkd.compressing.measuring import costs_of
from graphkd.serving import NumpyMLP
from graphkd.tasks import NodeClassification
from tests.core.models import gcn, graph

ROOT = Path(__file__).parents[2]
TASK = NodeClassification()


def arrays(**changes):
    data = graph()
    entries = {name: data[name].numpy() for name in ("x", "edge_index", "y", "train_mask", "val_mask", "test_mask")}
    return {name: value for name, value in {**entries, **changes}.items() if value is not None}


def written(path: Path, **changes) -> Path:
    np.savez(path, **arrays(**changes))
    return path


def made_here():
    """The teacher that a dotted path names."""
    return gcn(3)


def needs_arguments(width):
    raise NotImplementedError


# ------------------------------------------------------------------ graphs
def test_a_graph_of_each_form(tmp_path):
    for found in (
        read_data(written(tmp_path / "g.npz"), TASK),
        read_data(written(tmp_path / "w.npz", test_mask=None, edge_weight=np.ones(90, np.float32)), TASK),
    ):
        assert torch.equal(found.x, graph().x)
    torch.save(graph(), tmp_path / "g.pt")
    assert torch.equal(read_data(tmp_path / "g.pt", TASK).y, graph().y)


MASK = np.arange(30) % 3 == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y": None}, r"must have .*, it lacks \['y'\]"),
        ({"val_mask": None}, r"it lacks \['val_mask'\]"),
        ({"x": np.ones((30, 2, 2), np.float32)}, r"'x' must be \(N, F\) numbers, got torch.float32 \(30, 2, 2\)"),
        ({"x": np.full((30, 2), np.nan, np.float32)}, "'x' must be finite, got 60 entries that are not"),
        ({"x": np.ones((29, 2), np.float32)}, "30 nodes|29 nodes"),
        ({"y": np.ones(29, np.int64)}, "'y' must have a row for each of 30 nodes"),
        ({"edge_index": np.array([[0], [99]])}, "must name 30 nodes"),
        ({"edge_weight": np.ones(3, np.float32)}, r"'edge_weight' must be \(90,\) finite numbers, got \(3,\)"),
        ({"val_mask": MASK}, "'train_mask' and 'val_mask' must not overlap, they share 10 nodes"),
        ({"val_mask": np.zeros(30, bool)}, "'val_mask' must select a node at least"),
        ({"train_mask": np.ones(29, bool)}, "train_mask"),
        ({"train_mask": np.ones(30, np.int64)}, "train_mask"),
    ],
)
def test_wrong_graphs(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        read_data(written(tmp_path / "g.npz", **changes), TASK)


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_data(tmp_path / "g.npz", TASK)
    written(tmp_path / "g.npz", name=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match=r"cannot be read: .*allow_pickle=False"):
        read_data(tmp_path / "g.npz", TASK)
    torch.save({"x": print}, tmp_path / "g.pt")
    with pytest.raises(ValueError, match=r"must be a graph, .npz or .pt, and cannot be read"):
        read_data(tmp_path / "g.pt", TASK)
    data = HeteroData()
    data["a"].x = torch.ones(2, 2)
    torch.save(data, tmp_path / "h.pt")
    with pytest.raises(TypeError, match="one type of nodes"):
        read_data(tmp_path / "h.pt", TASK)


FILES = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FILES
@given(cut=st.integers(0, 4000), put=st.binary(max_size=8), suffix=st.sampled_from([".npz", ".pt"]))
def test_damaged_files_are_refused_or_read(tmp_path, cut, put, suffix):
    path = tmp_path / f"g{suffix}"
    if suffix == ".npz":
        written(path)
    else:
        torch.save(graph(), path)
    content = path.read_bytes()
    path.write_bytes(content[:cut] + put + content[cut + len(put) :])
    found = None
    with contextlib.suppress(ValueError, TypeError):  # and nothing else
        found = read_data(path, TASK)
    assert found is None or isinstance(found, Data)


# ------------------------------------------------------------------ teachers
def test_recorded_answers(tmp_path):
    np.save(tmp_path / "t.npy", np.arange(60.0).reshape(30, 2))
    teacher = read_answers(tmp_path / "t.npy", 30)
    assert torch.equal(teacher(graph().x), torch.arange(60.0).view(30, 2))
    assert teacher(graph().x[:2], torch.tensor([3, 1])).tolist() == [[6, 7], [2, 3]]
    with pytest.raises(ValueError, match="recorded answers are of all 30 nodes, asked for are 2"):
        teacher(graph().x[:2])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones((29, 2)), "must have a row for each of the graph's 30 nodes, got 29"),
        (np.ones(30), r"must hold logits \(N, C\), floating numbers, got float64 \(30,\)"),
        (np.ones((30, 2), np.int64), "floating numbers, got int64"),
        (np.ones((30, 0)), r"got float64 \(30, 0\)"),
        (np.full((30, 2), np.inf), "must be finite, got 60 entries that are not"),
        (np.array([{}], dtype=object), "as numpy.save writes them"),
    ],
)
def test_wrong_answers(tmp_path, array, words):
    np.save(tmp_path / "t.npy", array)
    with pytest.raises(ValueError, match=words):
        read_answers(tmp_path / "t.npy", 30)


@FILES
@given(content=st.binary(max_size=200))
def test_any_bytes_are_no_answers(tmp_path, content):
    (tmp_path / "t.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"t\.npy must"):
        read_answers(tmp_path / "t.npy", 30)


def test_teachers_by_dotted_path(tmp_path):
    save_file(gcn(5).state_dict(), tmp_path / "t.safetensors")
    made = make_teacher(f"{__name__}:made_here", tmp_path / "t.safetensors")
    assert torch.equal(made.convs[0].lin.weight, gcn(5).convs[0].lin.weight)
    assert not made.training
    assert torch.equal(make_teacher(f"{__name__}:made_here", None).convs[0].lin.weight, gcn(3).convs[0].lin.weight)
    save_file({"a": torch.ones(1)}, tmp_path / "t.safetensors")
    with pytest.raises(ValueError, match="must hold the weights of GCN"):
        make_teacher(f"{__name__}:made_here", tmp_path / "t.safetensors")
    (tmp_path / "t.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="must hold the weights of GCN"):
        make_teacher(f"{__name__}:made_here", tmp_path / "t.safetensors")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        make_teacher(f"{__name__}:made_here", tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("no_such_module:make", ValueError, "there is no 'no_such_module:make'"),
        (f"{__name__}:nothing", ValueError, "there is no"),
        ("os.path;rm:make", ValueError, "named by module, colon and function"),
        (f"{__name__}:arrays()", ValueError, "named by module, colon and function"),
        (f"{__name__}:needs_arguments", ValueError, "must be a function without arguments"),
        (f"{__name__}:ROOT", ValueError, "must be a function without arguments"),
        (f"{__name__}:graph", TypeError, "must make a torch module, it made Data"),
    ],
)
def test_wrong_paths(path, error, words):
    with pytest.raises(error, match=words):
        make_teacher(path, None)


# ------------------------------------------------------------------ the command
def counted(models):
    """Costs without the clock."""
    return {name: costs_of(model, 0.1, "given") for name, model in models.items()}


QUICK = ["--trials", "4", "--epochs", "3", "--methods", "kd,none"]


def files(folder: Path) -> list[str]:
    written(folder / "graph.npz")
    np.save(folder / "logits.npy", gcn(1).eval()(graph().x, graph().edge_index).detach().numpy())
    return ["compress", str(folder / "graph.npz"), "--teacher", str(folder / "logits.npy"), *QUICK]


def test_from_files_to_a_student(tmp_path, capsys):
    pytest.importorskip("optuna")
    out = tmp_path / "student"
    assert main([*files(tmp_path), "--out", str(out), "--checkpoint", str(tmp_path / "search")]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[1].startswith("teacher")
    card = json.loads((out / "card.json").read_text())
    assert f"{card['student']} by {card['method']} is in {out}: card.json, model.safetensors" in told
    assert "<svg" in (out / "report.html").read_text()
    x = graph().x
    program = torch.export.load(out / "student.pt2").module()
    if (out / "student.safetensors").is_file():
        wanted = NumpyMLP.load(out / "student.safetensors")(x.numpy())
        np.testing.assert_allclose(program(x=x).detach().numpy(), wanted, rtol=1e-4, atol=1e-5)
    assert {path.name for path in out.iterdir()} >= {"card.json", "model.safetensors", "report.html", "student.pt2"}
    assert main([*files(tmp_path), "--out", str(out), "--checkpoint", str(tmp_path / "search")]) == 0  # goes on
    with pytest.raises(FileNotFoundError, match="no saved student"):
        Distilled.load(tmp_path, gcn())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--latency-ms", "0"], "'latency_ms' of a budget must be above 0"),
        (["--parameters", "1"], "no student is within the budget, parameters 1; the nearest is 'linear'"),
        (["--weights", "t.safetensors"], "'--weights' goes with a teacher that is made"),
        (["--methods", "kdd"], "there is no method 'kdd'"),
        (["--task", "regression"], "'y'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path, capsys, monkeypatch, options, words):
    pytest.importorskip("optuna")
    monkeypatch.setattr("graphkd.compressing.graphs.measure_by", lambda *_: counted)
    with pytest.raises(SystemExit):
        main([*files(tmp_path), "--out", str(tmp_path / "student"), *options])
    assert words in capsys.readouterr().err
    assert not (tmp_path / "student").exists()


def test_what_is_installed(capsys):
    assert main([]) == 0
    told = capsys.readouterr().out
    assert torch.__version__ in told
    assert "devices          cpu" in told
    assert "optuna" in told
    assert "kd" in told


def test_methods_are_listed(capsys):
    assert main(["methods", "--task", "links"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("llp ")]
    assert not [line for line in lines if line.startswith("glnn ")]
    assert main(["methods", "--family", "self"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("ban ")]
    with pytest.raises(SystemExit):
        main(["methods", "--task", "none"])
    assert "'task' must be one of" in capsys.readouterr().err


@pytest.mark.slow
def test_in_a_process_of_its_own(tmp_path):
    pytest.importorskip("optuna")
    command = [sys.executable, "-m", "graphkd", *files(tmp_path), "--out", str(tmp_path / "student")]
    found = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "student" / "card.json").is_file()
    command[-1] = str(tmp_path / "other")
    command[6] = str(tmp_path / "nothing.npy")
    found = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert found.returncode == 2
    assert "there is no file" in found.stderr
