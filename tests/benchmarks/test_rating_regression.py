"""The benchmark of predicted ratings: its features, and every method by name."""

from __future__ import annotations

import json
import math
from statistics import fmean

import pytest
import torch

from benchmarks import rating_regression, recsys
from benchmarks.context.ratings import Regressor, dense
from benchmarks.rating_regression import METHODS
from datasets.clicks import generated

KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value", "tuned"}
OLD = """none kd teacher_bounded outlier_rejection attentive_imitation attentive_hint srrl cakd data_free_regression
activation_records"""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A generated set that an epoch goes through in a moment."""
    clicks = generated(60, 40, 1200)
    monkeypatch.setattr("benchmarks.rating_regression.load_clicks", lambda *_, **__: clicks)
    return clicks


def test_every_method_writes_a_line_per_value(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    arguments = ["--task", "ratings", "--dataset", "generated", "--teacher", "8-6", "--student", "4", "--epochs", "1"]
    short = ["--set", "activation_records.rows=40", "--set", "activation_records.steps=3"]
    recsys.main([*arguments, *short, "--outliers", "0.1", "--seeds", "1", "--wide", "--out", str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["method"] for row in rows} == {"teacher", *METHODS}
    assert {row["metric"] for row in rows} == {"explained", "rmse", "mae"}
    assert all(row.keys() >= KEYS and math.isfinite(row["value"]) for row in rows)
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("rmse", "teacher", *METHODS))


def test_features_know_the_other_training_ratings_alone(small):
    rows = small.rows
    plain = dense(rows)
    assert torch.equal(plain.columns["y"][:, 0], rows.columns["rating"])
    users, rating, train = (part.tolist() for part in (rows.columns["user_id"], rows.columns["rating"], rows.train))
    found = []
    for row in range(len(rows)):
        others = [rating[j] for j in train if j != row and users[j] == users[row]]
        found.append([fmean(others or [rating[j] for j in train]), math.log1p(len(others))])
    want = torch.tensor(found, dtype=torch.float64)
    seen = want[rows.train]
    torch.testing.assert_close(
        plain.columns["x"][:, :2].double(), (want - seen.mean(0)) / seen.std(0), rtol=0, atol=1e-5
    )
    noisy = dense(rows, outliers=0.3, seed=1)
    changed = noisy.columns["y"][:, 0] != rows.columns["rating"]
    assert not changed[rows.valid].any()
    assert not changed[rows.test].any()
    assert 0.1 < float(changed[rows.train].float().mean()) < 0.3  # some are replaced by the same number


def test_the_names_of_the_first_edition_stay():
    assert set(OLD.split()) <= set(METHODS)


def test_the_hidden_layer_is_what_the_last_one_reads():
    model, x = Regressor([3, 5]), torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(x), model.head(model.body(x)))
    assert model(x).shape == (4, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "rrd"], "'rrd' is not a method"),
        (["--student", "8-"], "layers are WIDTH-WIDTH-..., got '8-'"),
        (["--outliers", "1"], "'--outliers' must be from 0 to below 1, got 1.0"),
    ],
)
def test_wrong_arguments_end_with_a_message(arguments, message, capsys):
    with pytest.raises(SystemExit):
        rating_regression.main(arguments)
    assert message in " ".join(capsys.readouterr().err.split())
