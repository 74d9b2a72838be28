from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from benchmarks.progress import Progress
from benchmarks.ranking.models import OF_LIGHTGCN, load
from benchmarks.ranking.timing import cost
from benchmarks.recsys import GROUPS, METHODS, Series, main, parse, task_of
from datasets.recommenders import load_interactions, skewed
from recsys.data.same_ids import check_same_ids
from recsys.losses import BPR, LogLoss
from recsys.models import MF, LightGCN, Tables
from recsys.tasks import base_loss

KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value", "tuned"}
COSTS = {"parameters", "embedding_bytes", "latency_ms", "sampling_seconds", "gradient_seconds", "train_seconds"}
OLD = "none rd cd cd_student de rrd irrrd ftd htd unkd dcd rcekd hetcomp"
SHORT = ["--dataset", "skewed", "--teacher", "mf:12", "--student", "mf:4", "--epochs", "2", "--seeds", "1"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A generated set that a run of two epochs goes through in a moment."""
    split = skewed(num_users=300, num_items=240, pairs_per_user=8, seed=0)
    monkeypatch.setattr("benchmarks.ranking.models.load_interactions", lambda *_, **__: split)
    return split


@pytest.fixture
def atomic(tmp_path, small):
    """The arguments that name a dataset in RecBole's format; skips without RecBole."""
    if importlib.util.find_spec("recbole") is None:
        pytest.skip("RecBole is not installed: pip install --no-deps recbole==1.2.1")
    users, items = small.train.union(small.valid, small.test).pairs()
    lines = [f"u{user}\ti{item}\t3.5" for user, item in zip(users[:900].tolist(), items[:900].tolist(), strict=True)]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.inter").write_text("\n".join(["user_id:token\titem_id:token\trating:float", *lines]))
    return ["--dataset", "mine", "--data-path", str(tmp_path), "--epochs", "1", "--seeds", "1"]


def test_every_method_writes_a_line_per_value_a_table_and_a_picture(tmp_path, capsys):
    out, picture = tmp_path / "rows.jsonl", tmp_path / "plot.png"
    main([*SHORT, "--methods", "all", "--wide", "--out", str(out), "--plot", str(picture)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {*GROUPS["all"], *OF_LIGHTGCN} == set(METHODS)
    assert len(rows) == 2 * (1 + len(GROUPS["all"]))
    assert all(row.keys() >= KEYS | COSTS for row in rows)
    assert {row["metric"] for row in rows} == {"ndcg@10", "recall@10"}
    assert {row["embedding_bytes"] for row in rows if row["method"] != "teacher"} == {4 * 4 * (300 + 240)}
    assert picture.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("teacher", *GROUPS["all"], "sampling s"))


@pytest.mark.parametrize(("protocol", "metric"), [("ratio", "ndcg@10"), ("full", "recall@50")])
def test_a_protocol_has_its_metrics(protocol, metric, small):
    assert metric in task_of(protocol).score(MF(300, 240, 4), small)


def test_the_names_of_the_first_edition_stay():
    assert set(OLD.split()) <= set(METHODS)


def test_leave_one_out_ranks_the_one_item_of_each_user():
    try:
        split = load_interactions("citeulike-derrd")
    except RuntimeError as error:
        pytest.skip(str(error))
    quality = task_of("loo").score(MF(split.train.num_users, split.train.num_items, 2), split)
    assert set(quality) == {f"{kind}@{k}" for kind in ("hit", "ndcg", "mrr") for k in (5, 10, 20)}
    assert 0 < quality["hit@5"] < 0.05  # an untrained model finds one in a hundred


def test_what_is_there_is_not_trained_again(tmp_path, capsys, monkeypatch):
    arguments = [*SHORT, "--methods", "none,rrd,hetcomp", "--runs", str(tmp_path)]
    first = main(arguments)
    monkeypatch.setattr("benchmarks.ranking.timing.Stopwatch.__iter__", None)  # no batch is asked for
    assert main(arguments) == first
    files = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["card.json", "model.safetensors", *["rows.jsonl"] * 4]


def test_a_killed_run_goes_on_with_its_seconds(tmp_path, monkeypatch):
    arguments = [*SHORT, "--epochs", "60", "--patience", "0", "--methods", "rrd", "--runs", str(tmp_path)]
    whole = main([*arguments[:-1], str(tmp_path / "whole")])
    epochs, log = [], Progress.log

    def kill(self, report):
        log(self, report)
        epochs.append(report["epoch"])
        if len(epochs) == 60 + 55:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "log", kill)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    again = main(arguments)
    assert epochs[115:] == list(range(51, 61))  # from the last state on
    assert [row["value"] for row in again] == [row["value"] for row in whole]
    assert again[-1]["epochs"] == 60


def test_settings_and_a_training_of_ones_own():
    arguments = parse([*SHORT, "--methods", "rrd,none", "--set", "rrd.k=20", "--set", "rrd.lr=0.1"])
    assert arguments.given == {"rrd": {"k": 20, "lr": 0.1}, "none": {}}


class TestHetComp:
    def series(self, *arguments):
        return Series(parse([*SHORT, *arguments]), 0)

    def test_its_teachers_are_the_benchmarks_and_one_of_another_kind(self):
        series = self.series()
        ours, other = series.hetcomp_teachers()
        assert torch.equal(ours.user.weight, series.build("mf:12").user.weight)
        assert isinstance(other, LightGCN)
        assert other.table.weight.size(1) == 12

    def test_a_lightgcn_is_accompanied_by_mf(self):
        ours, other = self.series("--teacher", "lightgcn:4").hetcomp_teachers()
        assert isinstance(ours, LightGCN)
        assert isinstance(other, MF)


class TestRecBole:
    def test_a_teacher_without_tables(self, atomic, capsys):
        rows = main([*atomic, "--teacher", "neumf:4", "--student", "mf:2", "--methods", "none,cd,unkd,hetcomp"])
        assert {row["method"] for row in rows} == {"teacher", "none", "cd", "unkd", "hetcomp"}
        teacher = rows[0]
        assert teacher["embedding_bytes"] == 4 * teacher["parameters"]
        assert teacher["latency_ms"] > 0

    def test_a_student_without_tables(self, atomic, capsys):
        rows = main([*atomic, "--teacher", "mf:4", "--student", "neumf:2", "--methods", "rd,cd_student,irrrd,dcd"])
        assert {row["method"] for row in rows} == {"teacher", "rd", "cd_student", "irrrd", "dcd"}

    @pytest.mark.parametrize(
        ("side", "methods"), [("teacher", "['de', 'htd']"), ("student", "['hetcomp', 'de', 'htd']")]
    )
    def test_methods_that_need_tables_are_named_before_anything_is_trained(self, atomic, side, methods, capsys):
        models = {"teacher": "mf:4", "student": "mf:4", side: "neumf:4"}
        arguments = [text for name, model in models.items() for text in (f"--{name}", model)]
        message = f"{methods} need the {side}'s tables of users and items, but NeuMF scores without"
        with pytest.raises(SystemExit):
            main([*atomic, *arguments, "--methods", "none,de,rrd,htd,hetcomp"])
        printed = " ".join(capsys.readouterr().err.split())
        assert message in printed
        assert "'rrd'" in printed.partition("that take scores")[2]

    def test_neumf_has_its_own_loss_and_its_own_sizes(self, atomic):
        series = Series(parse([*atomic, "--teacher", "neumf:4", "--student", "BPR:3", "--methods", "none"]), 0)
        neumf, bpr = series.build("neumf:4"), series.build("BPR:3")
        assert [type(part) for model in (neumf, bpr) for _, part in base_loss(model).parts()] == [LogLoss, BPR]
        assert neumf.model.user_mf_embedding.weight.size(1) == neumf.model.user_mlp_embedding.weight.size(1) == 4
        assert neumf.model.mlp_hidden_size == [8, 4]
        assert bpr.tables()[1].size(1) == 3

    def test_other_models_go_by_the_names_of_their_classes(self, atomic, capsys):
        rows = main([*atomic, "--teacher", "LightGCN:4", "--student", "BPR:2", "--methods", "de"])
        assert rows[0]["embedding_bytes"] == 4 * rows[0]["parameters"] == 8 * rows[-1]["parameters"]

    def test_a_dataset_of_ones_own_is_split_by_the_protocol(self, atomic):
        _, name, _, folder, *_ = atomic
        ratio, loo = (load(name, protocol, 0, Path(folder)) for protocol in ("ratio", "loo"))
        assert ratio.recbole is not None
        assert ratio.train.padding
        assert int(loo.split.test.degrees().max()) == int(loo.split.valid.degrees().max()) == 1
        check_same_ids(load(name, "ratio", 0, Path(folder)).split, ratio.split)
        assert not torch.equal(load(name, "ratio", 1, Path(folder)).train.items, ratio.train.items)

    def test_the_embedded_set_is_split_as_by_its_loader(self, atomic):
        check_same_ids(load("ml-100k", "ratio", 0).split, load_interactions("ml-100k", seed=0))


def test_what_is_left_of_a_pruned_graph_is_in_its_row(capsys):
    models = ["--teacher", "lightgcn:4", "--student", "lightgcn:4", "--methods", "lightgnn"]
    settings = [f"--set=lightgnn.{text}" for text in ("runs=2", "hops=2", "triples=50")]
    row = main([*SHORT, *models, "--epochs", "1", *settings])[-1]
    assert row["edges_kept"] == pytest.approx(0.95, abs=0.01)
    assert row["entries_kept"] == pytest.approx(0.8, abs=0.01)


def test_costs_of_tables():
    found = cost(Tables(torch.randn(50, 3), torch.randn(70, 3)))
    assert (found["parameters"], found["embedding_bytes"]) == (0, 4 * 3 * 120)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "foo"], "'foo' is not a method"),
        (["--methods", "lightgnn"], "lightgnn is for LightGCNs of one width: say --teacher lightgcn:W --student"),
        (["--teacher", "mf"], "a model is NAME:WIDTH with a name of"),
        (["--student", "tree:3"], "a model is NAME:WIDTH with a name of"),
        (["--dataset", "foo"], "or a RecBole dataset with its --data-path, got 'foo'"),
        (["--dataset", "foo", "--data-path", "nowhere"], "must have its interactions at 'nowhere/foo/foo.inter'"),
        (["--dataset", "skewed", "--teacher", "neumf:4"], "it needs 'ml-100k' or a --data-path, got 'skewed'"),
    ],
)
def test_wrong_arguments_end_with_a_message(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in " ".join(capsys.readouterr().err.split())
