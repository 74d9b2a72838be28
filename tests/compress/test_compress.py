"""The search: a budget keeps out, validation rows alone choose, and what was broken off goes on to the same end."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCN, MLP

import graphkd
from graphkd import Budget, Cached, Distilled, Ensemble
from graphkd.core.adam import adam
from graphkd.tasks import GraphClassification, Regression
from tests.core.models import CLASSES, FEATURES, gcn, graph
from tests.core.test_tuning import Killer

pytest.importorskip("optuna")
ROOT = Path(__file__).parents[2]


def mlp(width: int, dropout: float = 0.0) -> MLP:
    return MLP([FEATURES, width, CLASSES], norm=None, dropout=dropout)


STUDENTS = {"narrow": partial(mlp, 2), "middle": lambda dropout: mlp(4, dropout), "wide": partial(mlp, 16)}


def graphs() -> DataLoader:
    """Graphs with a class each."""
    return DataLoader(
        [Data(torch.ones(4, FEATURES), graph().edge_index % 4, y=torch.tensor([n % 2])) for n in range(4)]
    )


def milliseconds(model: torch.nn.Module) -> float:
    """A latency that is the same in each run."""
    return sum(parameter.numel() for parameter in model.parameters()) / 1000


QUICK = {"trials": 6, "epochs": 9, "methods": ["kd", "none"], "latency": milliseconds, "progress": False}


def compressed(data=None, **options):
    return graphkd.compress(gcn(1), data or graph(), **{"students": STUDENTS, **QUICK, **options})


def told(front):
    """What was found, to the bit, without seconds."""
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in front.tried]
    states = [[value.tolist() for value in each.model.state_dict().values()] for each in front]
    cards = [{name: each.card[name] for name in ("student", "method", "settings", "validation")} for each in front]
    return {"rows": rows, "states": states, "cards": cards, "left": list(front.left_out)}


@pytest.fixture(scope="module")
def whole():
    """A search that is not broken off, and its epochs."""
    every = []
    return compressed(log=every.append), len(every)


# ------------------------------------------------------------------ what is found
def test_a_front_of_students_none_of_which_is_beaten(whole):
    front = whole[0]
    assert 1 <= len(front) <= 3
    points = [(each.card["validation"], -each.costs.latency_ms) for each in front]
    assert points == sorted(points, reverse=True)
    assert all(a[1] < b[1] for a, b in itertools.pairwise(points))
    assert front.best() is max(front, key=lambda each: each.card["validation"])
    for each in front:
        card = each.card
        assert card["student"] in STUDENTS
        assert card["method"] in ("kd", "none")
        assert not each.model.training
        assert card["parameters"] == sum(p.numel() for p in each.model.parameters())
        assert card["scores"]["val"]["accuracy"] == card["validation"]
        assert set(card["scores"]) == {"val", "test"}
        json.dumps(card)
    assert front.teacher["scores"].keys() == {"val", "test"}
    assert front.table().splitlines()[1].startswith("teacher")


def test_trials_are_spent_by_halving(whole):
    rows = whole[0].tried
    by_epochs = {epochs: [row["trial"] for row in rows if row["epochs"] == epochs] for epochs in (1, 3, 9)}
    assert by_epochs[1] == [0, 1, 2, 3, 4, 5]
    assert len(by_epochs[3]) == len(by_epochs[9]) == 4
    assert {*by_epochs[9]} <= {*by_epochs[3]}
    assert all(row["is_last"] == (row["epochs"] == 9) for row in rows)
    pairs = [(row["student"], row["method"]) for row in rows[:4]]
    assert len(set(pairs)) == 4  # at the published setting, and then settings of those that did best
    published = {"lr": 0.01, "weight_decay": 5e-4}
    assert all(published.items() <= row["setting"].items() for row in rows[:4])
    assert all(row["setting"]["lr"] != 0.01 for row in rows[4:6])


def test_its_settings_train_the_same_student(whole):
    best = whole[0].best()
    setting = dict(best.card["settings"])
    own = {name: setting.pop(name) for name in ("dropout",) if name in setting}
    optimizer = adam(lr=setting.pop("lr"), weight_decay=setting.pop("weight_decay"))
    make = partial(STUDENTS[best.card["student"]], **own)
    options = {"optimizer": optimizer, "epochs": 9, "progress": False, **setting}
    again = graphkd.distil(best.card["method"], make, gcn(1), graph(), **options)
    for name, value in best.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name])


def test_test_labels_are_of_no_effect_on_the_choice(whole):
    poisoned = graph()
    poisoned.y[poisoned.test_mask] = (poisoned.y[poisoned.test_mask] + 1) % CLASSES
    found = compressed(poisoned)
    assert told(found) == told(whole[0])
    assert found.teacher["scores"]["test"] != whole[0].teacher["scores"]["test"]  # which are read to be told
    changed = graph()
    changed.y[changed.val_mask] = (changed.y[changed.val_mask] + 1) % CLASSES
    assert told(compressed(changed)) != told(whole[0])


def test_students_and_methods_that_are_made():
    front = graphkd.compress(gcn(1), graph(), trials=9, epochs=3, progress=False, hidden="convs.0")
    assert {row["method"] for row in front.tried} <= {"glnn", "kd", "soft_label_distance", "none"}
    assert len({row["student"] for row in front.tried}) >= 6
    assert not [row for row in front.tried if row["score"] is None]
    assert all(each.costs.latency_ms > 0 for each in front)
    assert front.teacher["form"] == "torch, 2 hops"


def test_hidden_layers_of_made_students_are_their_own():
    front = graphkd.compress(
        gcn(1), graph(), methods=["gsp"], trials=8, epochs=3, hidden="convs.0", latency=milliseconds
    )
    assert not [row for row in front.tried if row["score"] is None]
    assert "linear" not in {row["student"] for row in front.tried}  # which has none


# ------------------------------------------------------------------ the budget
def test_what_is_over_the_budget_is_not_trained_and_said():
    front = compressed(budget=Budget(latency_ms=0.05))
    assert {row["student"] for row in front.tried} == {"narrow", "middle"}
    (row,) = front.left_out
    assert row["student"] == "wide"
    assert row["reason"] == "0.163 ms, the budget has 0.05"
    assert front.best().card["latency_ms"] <= 0.05
    with pytest.raises(
        ValueError, match=r"no student is within the budget, parameters 3; the nearest is 'narrow' with"
    ):
        front.best(Budget(parameters=3))


def test_where_none_is_within_the_budget_nothing_is_trained(tmp_path):
    front = compressed(budget=Budget(parameters=3, megabytes=1e-9))
    assert len(front) == len(front.tried) == 0
    assert len(front.left_out) == 3
    with pytest.raises(ValueError, match="no student is within the budget"):
        front.best()
    front.report(tmp_path / "report.html")
    assert "the budget has 3" in (tmp_path / "report.html").read_text()


# ------------------------------------------------------------------ files
def test_a_member_is_saved_and_read_again(whole, tmp_path):
    best = whole[0].best()
    best.save(tmp_path)
    again = Distilled.load(tmp_path, mlp(best.model.lins[0].weight.size(0)))
    assert torch.equal(again.model(graph().x), best.model(graph().x))
    assert again.card["student"] == best.card["student"]


def test_pictures_and_the_report(whole, tmp_path):
    front = whole[0]
    front.plot(tmp_path / "deep" / "front.svg")
    assert (tmp_path / "deep" / "front.svg").read_text().startswith("<svg")
    front.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<svg" in page
    for each in front:
        assert each.card["student"] in page
    pytest.importorskip("matplotlib")
    front.plot(tmp_path / "front.png")
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_error_says_what_else_there_is(whole, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"a path that ends in .svg needs nothing"):
        whole[0].plot(tmp_path / "front.png")


# ------------------------------------------------------------------ the folder
@pytest.mark.parametrize("at", [1, 9, 20, 40])
def test_a_search_that_was_broken_off_goes_on_and_finds_the_same(tmp_path, whole, at):
    counted = []
    with pytest.raises(KeyboardInterrupt):
        compressed(checkpoint=tmp_path / "search", log=Killer(at), save_every=1)
    found = compressed(checkpoint=tmp_path / "search", resume=True, log=counted.append, save_every=1)
    assert told(found) == told(whole[0])
    assert len(counted) <= whole[1] - at + 1  # what was trained is not trained again
    again = compressed(checkpoint=tmp_path / "search", resume="auto", log=counted.append)
    assert told(again) == told(whole[0])


def test_costs_are_measured_once(tmp_path, whole):
    compressed(checkpoint=tmp_path)
    other = compressed(checkpoint=tmp_path, resume=True, latency=milliseconds, students=STUDENTS)
    assert told(other) == told(whole[0])

    def slower(model):
        return 1e3 + milliseconds(model)

    assert compressed(checkpoint=tmp_path, resume=True, latency=slower)[0].card["latency_ms"] < 1e3


def test_a_folder_is_begun_in_or_gone_on_with_as_asked(tmp_path):
    compressed(checkpoint=tmp_path, trials=1)
    with pytest.raises(ValueError, match=r"'checkpoint' must be an empty folder, .* give resume=True to go on"):
        compressed(checkpoint=tmp_path, trials=1)
    with pytest.raises(ValueError, match=r"holds another search: .*epochs was 9, is 3"):
        compressed(checkpoint=tmp_path, trials=1, epochs=3, resume=True)
    with pytest.raises(ValueError, match=r"holds another search: .*budget.latency_ms was None, is 1"):
        compressed(checkpoint=tmp_path, trials=1, budget=Budget(1), resume=True)
    with pytest.raises(ValueError, match="'resume' needs the folder of the run"):
        compressed(resume=True)
    with pytest.warns(UserWarning, match="'resume' found no run"):
        compressed(checkpoint=tmp_path / "new", trials=1, resume=True)


SCRIPT = """
import os, signal, sys, torch
from tests.compress.test_compress import compressed, told
torch.set_num_threads(1)
left = int(sys.argv[2])
def log(report):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
print(told(compressed(checkpoint=sys.argv[1], resume="auto", log=log, save_every=1)))
"""


@pytest.mark.slow
def test_a_process_that_was_killed_is_gone_on_with_by_the_next_one(tmp_path):
    def run(folder: Path, at: int) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", SCRIPT, str(folder), str(at)]
        quiet = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=ROOT, env=quiet, check=False, capture_output=True, text=True)

    whole = run(tmp_path / "whole", 0)
    assert whole.returncode == 0, whole.stderr
    for at in (7, 3, 21):
        assert run(tmp_path / "killed", at).returncode == -signal.SIGKILL
    assert run(tmp_path / "killed", 0).stdout == whole.stdout


# ------------------------------------------------------------------ other data, and what goes wrong
def test_teachers_of_every_kind():
    for teacher in (Cached(gcn(1)), Ensemble([gcn(1), gcn(2)])):
        front = graphkd.compress(teacher, graph(), students=STUDENTS, **{**QUICK, "trials": 2})
        assert len(front) >= 1
        assert front.teacher["scores"]["test"]


def test_regression_of_nodes():
    data = graph()
    data.y = data.x @ torch.ones(FEATURES)
    teacher = GCN(FEATURES, 8, 2, 1)
    front = graphkd.compress(teacher, data, Regression(), trials=3, epochs=3, latency=milliseconds, progress=False)
    assert len(front) >= 1
    assert front[0].model(data.x).shape == (30, 1)


def test_what_fails_is_told_and_the_rest_goes_on(tmp_path):
    class Fails(torch.nn.Linear):
        def forward(self, x):
            if self.training:
                raise RuntimeError("it fails")
            return super().forward(x)

    students = {"fails": lambda: Fails(FEATURES, CLASSES), **STUDENTS}
    front = compressed(students=students, checkpoint=tmp_path)
    failed = [row for row in front.tried if row["score"] is None]
    assert failed
    assert {row["student"] for row in failed} == {"fails"}
    assert all(row["error"] == "RuntimeError: it fails" for row in failed)
    assert {row["student"] for row in front.tried if row["is_last"]} <= {*STUDENTS}
    with pytest.raises(RuntimeError, match="no trial could be trained, the last one failed by RuntimeError: it fails"):
        compressed(students={"fails": students["fails"]})


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"trials": 0}, ValueError, "'trials' must be a whole number of at least 1, got 0"),
        ({"trials": 2.5}, ValueError, "'trials' must be a whole number of at least 1, got 2.5"),
        ({"methods": ["gsp"]}, ValueError, "'gsp' needs the path of a hidden layer"),
        (
            {"students": [gcn()], "methods": ["glnn"]},
            ValueError,
            "none of the methods .* can train any of the students",
        ),
        ({"resume": "yes"}, ValueError, "'resume' must be True, False or 'auto'"),
    ],
)
def test_what_is_refused(options, error, words):
    with pytest.raises(error, match=words):
        compressed(**options)


def test_teachers_and_data_that_are_refused():
    with pytest.raises(TypeError, match=r"'teacher' must be one, got 2: give graphkd.Ensemble"):
        graphkd.compress([gcn(1), gcn(2)], graph())
    with pytest.raises(TypeError, match="'teacher' must be a module or a teacher, got NoneType"):
        graphkd.compress(None, graph())
    with pytest.raises(TypeError, match="'data' must be one graph or loader, got Clients"):
        graphkd.compress(gcn(1), graphkd.Clients([graph(), graph()]), graphkd.tasks.NodeClassification())
    data = graph()
    del data.val_mask
    with pytest.raises(ValueError, match="chosen on validation rows, and the data have none"):
        compressed(data)
    with pytest.raises(ValueError, match=r"the task is 'graph_classification': give students=\[...\]"):
        graphkd.compress(gcn(1), graphs(), GraphClassification(val=graphs(), test=graphs()))


def test_progress_is_a_line_a_training_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr("graphkd.core.trials._PATIENT", -1.0)
    compressed(trials=2, progress=None)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("compress: training 1 of 6: 0.")
    assert "narrow by kd after 1 of 9 epochs" in lines[0]


def test_the_library_is_as_light_as_before():
    code = "import sys, graphkd; graphkd.compress; names = ('optuna', 'graphkd.serving', 'torch_geometric'); "
    code += "sys.exit(any(name in sys.modules for name in names))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
