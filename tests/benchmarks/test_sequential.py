"""The benchmark of sequential recommenders: from the command line to its rows, tuned and gone on with."""

from __future__ import annotations

import pytest

from benchmarks import recsys, sequential
from benchmarks.ranking.sequences import build
from recsys.data import SequenceSplit
from recsys.models import GRU4Rec, SASRec
from tests.recsys.toy_sequences import chains

LINE = "--dataset toys --teacher sasrec:8 --student gru4rec:4 --seeds 1 --epochs 2 --metric-every 1 --threads 1"
SMALL = [*LINE.split(), "--max-length", "6", "--negatives", "20", "--batch-size", "16"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(sequential, "load_sequences", lambda _: chains())


def test_rows_of_a_teacher_and_its_students(tmp_path):
    methods = ["--methods", "none,kd,rrd,de", "--set", "rrd.k=5", "--set", "rrd.l=5", "--runs", str(tmp_path)]
    rows = recsys.main(["--task", "sequential", *SMALL, *methods])
    assert [row["method"] for row in rows[:: len(sequential.METRICS)]] == ["teacher", "none", "kd", "rrd", "de"]
    for row in rows:
        assert {"value", "parameters", "latency_ms", "train_seconds", "epochs"} <= set(row)
        assert 0 <= row["value"] <= 1
        assert row["split"] == "last-6-left_out"
    assert all("validation" in row for row in rows if row["method"] != "teacher")
    again = recsys.main(["--task", "sequential", *SMALL, *methods])
    assert again == rows  # nothing is run again


@pytest.mark.slow
@pytest.mark.parametrize(
    ("student", "method"), [("gru4rec:4", "dllm2rec"), ("bert4rec:8", "emkd"), ("sasrec:8", "slmrec")]
)
def test_methods_of_sequences_alone(student, method):
    rows = recsys.main(["--task", "sequential", *SMALL, "--student", student, "--methods", method])
    assert {row["method"] for row in rows} == {"teacher", method}


@pytest.mark.slow
def test_settings_are_searched_on_validation_rows(tmp_path):
    rows = recsys.main(
        ["--task", "sequential", *SMALL, "--methods", "kd", "--tune", "2", "--runs", str(tmp_path), "--epochs", "4"]
    )
    taught = [row for row in rows if row["method"] == "kd"]
    assert all(row["tuned"] and row["trials"] == 2 for row in taught)
    assert {"weight", "temperature", "lr"} <= set(taught[0]["settings"])
    assert len(list((tmp_path / "tuned").iterdir())) == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--student", "mf:8"], "a model is NAME:WIDTH with a name of ['bert4rec', 'gru4rec', 'sasrec'], got 'mf:8'"),
        (["--methods", "emkd"], "emkd masks items: say --student bert4rec:WIDTH, got gru4rec:4"),
        (["--methods", "slmrec"], "slmrec compares blocks of SASRecs of one width, got sasrec:8 and gru4rec:4"),
        (["--teacher", "sasrec:0"], "got 'sasrec:0'"),
        (["--methods", "hetcomp"], "hetcomp"),
        (["--dataset", "beauty"], "invalid choice: 'beauty'"),
    ],
)
def test_what_is_wrong_ends_with_a_message(more, words, capsys):
    with pytest.raises(SystemExit):
        recsys.main(["--task", "sequential", *SMALL, *more])
    assert words in " ".join(capsys.readouterr().err.split())


def test_models_by_name():
    split = SequenceSplit.leave_one_out(chains(), 6)
    wide, narrow, gru = (build(name, split, 0.1) for name in ("sasrec:32", "sasrec:16", "gru4rec:8"))
    assert isinstance(wide, SASRec)
    assert isinstance(gru, GRU4Rec)
    assert (len(wide.blocks), len(narrow.blocks)) == (2, 1)
    assert {model.max_length for model in (wide, narrow, gru)} == {6}
