"""Runs are kept, go on after a kill, and fail alone."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

import pytest

from benchmarks import gnn, report
from benchmarks.progress import Progress
from benchmarks.rows import failed
from benchmarks.runs import Job, Place, collect

SHORT = ["--dataset", "karate", "--teacher", "gcn", "--methods", "none,kd", "--seeds", "2", "--epochs", "60"]
COSTS = {"latency_ms", "train_seconds", "step_ms", "peak_memory_mb"}


def results(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in COSTS} for row in rows]


def job(method: str, run: Any) -> Job:
    about = {"dataset": "toy", "split": "one", "teacher": "gcn", "student": "mlp:8", "method": method, "seed": 0}
    return Job(about, run)


def arguments(**given: Any) -> Namespace:
    return Namespace(**{"threads": None, "runs": None, "out": None, "missing": False, **given})


class Killer:
    """Ends the process, as far as the benchmark can see, at an epoch of all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int | None = None) -> None:
        self.epochs, self.at = [], at
        monkeypatch.setattr(Progress, "log", self)

    def __call__(self, told: dict[str, Any]) -> None:
        self.epochs.append(told["epoch"])
        if len(self.epochs) == self.at:
            raise KeyboardInterrupt


# in the teacher; between two runs; after states of a student were saved, in it
@pytest.mark.parametrize("at", [61, *(pytest.param(at, marks=pytest.mark.slow) for at in (30, 175))])
def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_rows(tmp_path, monkeypatch, at):
    whole = gnn.main(SHORT)
    kept = [*SHORT, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "rows.jsonl")]
    killed = Killer(monkeypatch, at)
    with pytest.raises(KeyboardInterrupt):
        gnn.main(kept)
    before = len(killed.epochs)
    again = Killer(monkeypatch)
    assert results(gnn.main(kept)) == results(whole)
    all_epochs = 60 * 6
    assert before + len(again.epochs) <= all_epochs + 50  # at most what was trained since the last state is lost
    if at == 175:
        assert again.epochs[0] == 51
    written = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert results(written) == results(whole)  # each once


def test_what_is_there_is_not_trained_again_and_shown_by_the_report(tmp_path, monkeypatch, capsys):
    runs = tmp_path / "runs"
    first = gnn.main([*SHORT, "--runs", str(runs)])
    trained = Killer(monkeypatch)
    assert gnn.main([*SHORT, "--runs", str(runs)]) == first
    assert trained.epochs == []
    files = sorted(path.name for path in runs.rglob("*") if path.is_file())
    assert files == ["card.json"] * 2 + ["model.safetensors"] * 2 + ["rows.jsonl"] * 6
    more = gnn.main([*SHORT, "--runs", str(runs), "--methods", "none,at", "--set", "at.weight=3"])
    assert len(trained.epochs) == 120  # the new method alone: teachers are shared
    assert [row["settings"] for row in more if row["method"] == "at"] == [{"weight": 3.0}] * 6
    capsys.readouterr()
    report.main([str(runs)])
    printed = capsys.readouterr().out
    assert "karate, random, seeds 0, 1" in printed
    assert all(f"│ {name} " in printed for name in ("teacher", "none", "kd", "at"))


def test_what_is_missing_is_listed_and_nothing_is_trained(tmp_path, monkeypatch, capsys):
    runs = str(tmp_path / "runs")
    first = gnn.main([*SHORT, "--runs", runs])
    trained = Killer(monkeypatch)
    capsys.readouterr()
    more = [*SHORT, "--runs", runs, "--methods", "none,at,kd", "--missing"]
    assert {row["method"] for row in gnn.main(more)} == {"teacher", "none", "kd"}
    printed = capsys.readouterr().out.splitlines()
    assert trained.epochs == []
    assert printed[:3] == ["2 of 8 runs are missing", "  at, seed 0: not begun", "  at, seed 1: not begun"]
    assert gnn.main([*SHORT, "--runs", runs, "--missing"]) == first
    assert gnn.main([*SHORT, "--runs", str(tmp_path / "none"), "--missing"]) == []
    with pytest.raises(SystemExit):
        gnn.main([*SHORT, "--missing"])
    assert "'--missing' needs the folder of runs" in capsys.readouterr().err


def test_other_epochs_are_other_runs_and_other_tables(tmp_path, capsys):
    short = ["--dataset", "karate", "--methods", "none", "--seeds", "1", "--runs", str(tmp_path)]
    gnn.main([*short, "--epochs", "2"])
    gnn.main([*short, "--epochs", "3"])
    capsys.readouterr()
    report.main([str(tmp_path)])
    assert capsys.readouterr().out.count("karate, random, seeds 0") == 2


def test_a_method_that_fails_is_a_row_that_says_why_and_the_others_go_on(tmp_path, capsys):
    rows = gnn.main(
        ["--dataset", "karate", "--student", "gcn", "--methods", "glnn,none", "--seeds", "1", "--epochs", "2"]
    )
    (wrong,) = [row for row in rows if row["metric"] == "error"]
    assert (wrong["method"], wrong["value"]) == ("glnn", None)
    assert "reads features alone" in wrong["error"]
    assert {row["method"] for row in rows if row["metric"] == "accuracy"} == {"teacher", "none"}
    assert failed(rows)
    printed = capsys.readouterr().out
    assert "│ glnn    │       failed │" in printed
    assert "glnn, seed 0, failed: ValueError: " in printed


def test_what_failed_is_tried_again(tmp_path):
    places: list[Place] = []

    def run(place: Place) -> list[dict[str, Any]]:
        places.append(place)
        if len(places) == 1:
            raise ValueError("not yet")
        return [{"metric": "accuracy", "value": 0.5}]

    given = arguments(runs=tmp_path / "runs", out=tmp_path / "out.jsonl")
    assert collect([job("one", run)], given)[0]["error"] == "ValueError: not yet"
    (row,) = collect([job("one", run)], given)
    assert row["value"] == 0.5
    assert collect([job("one", run)], given) == [row]
    assert len(places) == 2
    assert len(given.out.read_text().splitlines()) == 2


def test_seconds_before_a_kill_count(tmp_path):
    place = Place(tmp_path)
    with pytest.raises(KeyboardInterrupt), place.clock():
        raise KeyboardInterrupt
    (tmp_path / "spent.json").write_text(json.dumps({"seconds": 100.0, "steps": 4}))
    with place.clock() as costs:
        found = costs()
    assert 100 <= found["train_seconds"] < 110
    assert found["step_ms"] == pytest.approx(found["train_seconds"] / 4 * 1e3)


def test_names_of_folders_are_those_of_the_run(tmp_path):
    folder = job("kd", lambda _: []).folder(tmp_path)
    assert folder.relative_to(tmp_path).parts[:2] == ("toy-one", "gcn-mlp8")
    assert folder.name.startswith("kd-0-")
    other = Job({**job("kd", None).about, "settings": {"weight": 1.0}}, lambda _: [])
    assert other.folder(tmp_path) != folder


def test_rows_that_are_none_are_named(tmp_path, capsys):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"metric": 1}\nnothing\n')
    with pytest.raises(SystemExit):
        report.main([str(file)])
    assert f"{file}:2 must be a JSON object" in capsys.readouterr().err
