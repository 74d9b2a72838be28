"""``--tune N``: settings that are searched once a method, told in its rows, and gone on with after a kill."""

from __future__ import annotations

import json
import tomllib

import pytest

import graphkd
from benchmarks import gnn, options, recsys, report
from benchmarks.progress import Progress
from benchmarks.rows import failed, read
from datasets.clicks import generated
from datasets.recommenders import skewed
from tests.benchmarks.test_runs import Killer, results

pytest.importorskip("optuna")
GRAPH = ["--dataset", "karate", "--teacher", "gcn", "--methods", "none,kd", "--seeds", "2", "--epochs", "3"]
RANKING = ["--dataset", "skewed", "--teacher", "mf:12", "--student", "mf:4", "--epochs", "2", "--seeds", "1"]
TUNE = ["--tune", "3"]


def untimed(rows):
    return [{name: value for name, value in row.items() if name != "tuning_seconds"} for row in results(rows)]


@pytest.fixture
def searches(monkeypatch):
    """Calls of ``graphkd.tune``: the name of the method, and the options."""
    found, tune = [], graphkd.tune

    def noted(name, *given, **options):
        found.append((name, options))
        return tune(name, *given, **options)

    monkeypatch.setattr(graphkd, "tune", noted)
    return found


@pytest.fixture
def small(monkeypatch):
    split = skewed(num_users=300, num_items=240, pairs_per_user=8, seed=0)
    monkeypatch.setattr("benchmarks.ranking.models.load_interactions", lambda *_, **__: split)


def test_rows_tell_that_they_are_tuned_by_how_many_trials_and_what_was_found(searches):
    rows = gnn.main([*GRAPH, *TUNE])
    assert not failed(rows)
    assert [name for name, _ in searches] == ["none", "kd"]  # once, on the first seed
    for row in rows:
        assert row["tuned"] == (row["method"] != "teacher")
    tuned = [row for row in rows if row["tuned"]]
    assert {row["trials"] for row in tuned} == {3}
    assert all(row["validation"] >= row["validation_published"] for row in tuned)
    settings = {row["method"]: set() for row in tuned}
    for row in tuned:
        settings[row["method"]].add(json.dumps(row["settings"]))
    assert [len(found) for found in settings.values()] == [1, 1]
    assert json.loads(settings["kd"].pop()).keys() == {"dropout", "lr", "weight_decay", "temperature", "label_weight"}


def test_the_search_starts_at_the_recipe_and_leaves_what_was_set(searches):
    gnn.main([*GRAPH[:-4], "--seeds", "1", "--epochs", "3", *TUNE, "--set", "kd.temperature=2", "--set", "kd.lr=0.02"])
    (_, alone), (_, kd) = searches
    assert alone["start"] == {"lr": 0.01, "weight_decay": 5e-4, "dropout": 0.1}
    assert alone["epochs"] == 3
    assert alone["patience"] == 50
    assert kd["start"] == {"lr": 0.02, "weight_decay": 5e-4, "dropout": 0.1}
    assert kd["space"] == {"lr": [0.02]}
    assert kd["temperature"] == 2.0


@pytest.mark.parametrize("at", [5, pytest.param(30, marks=pytest.mark.slow)])
def test_a_search_that_was_killed_goes_on_and_ends_with_the_same_rows(tmp_path, monkeypatch, at):
    whole = gnn.main([*GRAPH, *TUNE])
    kept = [*GRAPH, *TUNE, "--runs", str(tmp_path)]
    with monkeypatch.context() as patched:
        Killer(patched, at)
        with pytest.raises(KeyboardInterrupt):
            gnn.main(kept)
    assert untimed(gnn.main(kept)) == untimed(whole)
    monkeypatch.setattr(Progress, "log", lambda *_: pytest.fail("nothing is trained again"))
    assert untimed(gnn.main(kept)) == untimed(whole)
    assert len(list((tmp_path / "tuned").glob("karate-random-gcn-mlp-*/trials.journal"))) == 2
    told = [read(path) for path in (tmp_path / "tuned").glob("*/trials.jsonl")]
    assert sorted((rows[0]["method"], len(rows)) for rows in told) == [("kd", 3), ("none", 3)]
    assert all(row["setting"].keys() >= {"lr", "weight_decay"} for rows in told for row in rows)


def test_tuned_rows_stand_beside_others_under_a_name_of_their_own(tmp_path, capsys):
    both = [*GRAPH, "--runs", str(tmp_path)]
    gnn.main([*both, *TUNE])
    gnn.main(both)
    capsys.readouterr()
    report.main([str(tmp_path)])
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("none tuned 3", "kd tuned 3", "teacher"))


def test_a_setting_that_was_found_is_what_a_settings_file_says(tmp_path, monkeypatch):
    tuned = gnn.main([*GRAPH, *TUNE, "--runs", str(tmp_path / "runs")])
    (found,) = (tmp_path / "runs" / "tuned").glob("*-kd-*/setting.toml")
    monkeypatch.setattr(options, "SETTINGS", tmp_path)
    (tmp_path / "karate.toml").write_text(found.read_text())
    assert tomllib.loads(found.read_text())["kd"].keys() > {"dropout", "lr", "temperature"}
    plain = gnn.main([*GRAPH, "--runs", str(tmp_path / "runs")])
    quality = [
        [(row["metric"], row["seed"], row["value"]) for row in rows if row["method"] == "kd"] for rows in (tuned, plain)
    ]
    assert quality[0] == quality[1]


def test_dropout_may_be_set_of_the_benchmarks_own_student_alone(capsys):
    assert gnn.parse(["--methods", "kd", "--set", "kd.dropout=0.25"]).given == {"kd": {"dropout": 0.25}}
    with pytest.raises(SystemExit):
        gnn.parse(["--methods", "multimodal_expansion", "--set", "multimodal_expansion.dropout=0.25"])
    assert "'dropout' is not a setting of 'multimodal_expansion'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        gnn.parse(["--tune", "0"])
    assert "'--tune' must be at least 1, got 0" in capsys.readouterr().err


def test_the_dropout_that_is_found_is_that_of_the_benchmarks_student():
    asked = [*GRAPH[:4], "--methods", "glnn", "--seeds", "1", "--epochs", "2"]  # which would make an MLP with one too
    rows = gnn.main([*asked, "--tune", "2"])
    assert not failed(rows)
    assert 0 < rows[-1]["settings"]["dropout"] < 1
    assert not failed(gnn.main([*asked, "--set", "glnn.dropout=0.25"]))


@pytest.mark.slow
def test_methods_with_further_needs_are_searched_too():
    rows = gnn.main([*GRAPH[:4], "--methods", "tmkd,cpf_ind,ffg2m,rkd", "--seeds", "1", "--epochs", "2", "--tune", "2"])
    assert not failed(rows)


@pytest.mark.slow
def test_recommenders_are_searched_and_go_on(small, tmp_path, monkeypatch):
    command = [*RANKING, "--methods", "cd,hetcomp", *TUNE]
    whole = recsys.main(command)
    assert not failed(whole)
    assert {row["tuned"] for row in whole if row["method"] != "teacher"} == {True}
    cd = next(row for row in whole if row["method"] == "cd")
    assert {"lr", "weight_decay", "weight"} <= cd["settings"].keys()
    kept = [*command, "--runs", str(tmp_path)]
    with monkeypatch.context() as patched:
        Killer(patched, 8)
        with pytest.raises(KeyboardInterrupt):
            recsys.main(kept)
    quality = [[(row["method"], row["value"]) for row in rows] for rows in (whole, recsys.main(kept))]
    assert quality[0] == quality[1]


def test_a_method_without_validation_is_a_row_that_says_why_it_is_not_searched(small):
    rows = recsys.main([*RANKING, "--methods", "none", "--patience", "0", *TUNE])
    (error,) = (row["error"] for row in rows if row["metric"] == "error")
    assert error == "ValueError: '--tune' chooses by validation, and 'none' is trained without, by a patience of 0"


@pytest.mark.slow
def test_clicks_and_ratings_are_searched(monkeypatch, tmp_path):
    for place in ("context.series", "rating_regression"):
        monkeypatch.setattr(f"benchmarks.{place}.load_clicks", lambda *_, **__: generated(60, 40, 1200))
    nets = ["--teachers", "net:6:8,net:4:8-8", "--student", "net:4:4", "--booster", "net:4:8"]
    short = ["--dataset", "generated", "--epochs", "1", "--seeds", "1", "--tune", "2", "--runs", str(tmp_path)]
    clicks = recsys.main(["--task", "ctr", *short, *nets, "--methods", "none,rocket,multitask,mf.bridge,mf.cause"])
    ratings = recsys.main(["--task", "ratings", *short, "--teacher", "8", "--student", "4", "--methods", "none,srrl"])
    for rows in (clicks, ratings):
        assert not failed(rows)
        for row in rows:
            assert row["tuned"] == ("teacher" not in row["method"])
            assert not row["tuned"] or "validation" in row
    assert len(list((tmp_path / "tuned").iterdir())) == 7
