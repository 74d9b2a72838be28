from __future__ import annotations

import json

import pytest

from benchmarks.ranking_methods import METHODS
from benchmarks.recsys import Protocol, main
from datasets.recommenders import load_interactions, skewed
from recsys.models import MF

KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value"}
COSTS = {"parameters", "embedding_bytes", "latency_ms", "sampling_seconds", "gradient_seconds", "train_seconds"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A generated set that a run of two epochs goes through in a moment."""
    split = skewed(num_users=300, num_items=240, pairs_per_user=8, seed=0)
    monkeypatch.setattr("benchmarks.recsys.load_interactions", lambda *_, **__: split)
    return split


def test_every_method_writes_a_line_per_value_a_table_and_a_picture(tmp_path, capsys):
    out, picture = tmp_path / "rows.jsonl", tmp_path / "plot.png"
    arguments = ["--dataset", "skewed", "--teacher", "mf:12", "--student", "mf:4", "--epochs", "2", "--seeds", "1"]
    main([*arguments, "--methods", "all", "--out", str(out), "--plot", str(picture)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 2 * (1 + len(METHODS))
    assert all(row.keys() >= KEYS | COSTS for row in rows)
    assert {row["metric"] for row in rows} == {"ndcg@10", "recall@10"}
    assert {row["embedding_bytes"] for row in rows if row["method"] != "teacher"} == {4 * 4 * (300 + 240)}
    assert picture.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("teacher", *METHODS, "sampling s"))


@pytest.mark.parametrize(("protocol", "metric"), [("ratio", "ndcg@10"), ("full", "recall@50")])
def test_a_protocol_has_its_metrics(protocol, metric, small):
    assert metric in Protocol(protocol, small).quality(MF(300, 240, 4))


def test_leave_one_out_ranks_the_one_item_of_each_user(monkeypatch):
    monkeypatch.undo()
    try:
        split = load_interactions("citeulike-derrd")
    except RuntimeError as error:
        pytest.skip(str(error))
    quality = Protocol("loo", split).quality(MF(split.train.num_users, split.train.num_items, 2))
    assert set(quality) == {f"{kind}@{k}" for kind in ("hit", "ndcg", "mrr") for k in (5, 10, 20)}
    assert 0 < quality["hit@5"] < 0.05  # an untrained model finds one in a hundred


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "foo"], "'methods' must be among"),
        (["--teacher", "mf"], "a model is NAME:WIDTH with a name of"),
        (["--student", "tree:3"], "a model is NAME:WIDTH with a name of"),
    ],
)
def test_wrong_arguments_end_with_a_message(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err
