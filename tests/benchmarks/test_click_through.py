from __future__ import annotations

import json

import pytest
import torch

from benchmarks import click_through, recsys
from benchmarks.click_through import METHODS
from benchmarks.context.click_models import Averaged, build, hidden
from benchmarks.context.series import CLICK_METHODS, KINDS
from datasets.clicks import generated
from recsys.data.rows import Field
from recsys.models.clicks import ClickNet

KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value", "tuned"}
COSTS = {"parameters", "latency_ms", "train_seconds"}
SHORT = ["--dataset", "generated", "--teachers", "net:6:8,net:4:8-8", "--student", "net:4:4", "--booster", "net:4:8"]
OLD = """none kd ensemble ensemble_stop ensemble_hint rocket rocket_kd multitask crossdistil
mf.none mf.bridge mf.refine mf.init mf.alter mf.concat mf.union mf.learned mf.delay mf.cause
ae.none ae.bridge ae.refine ae.init ae.alter ae.concat ae.union ae.learned ae.delay
deep.none deep.hint deep.soft_label"""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A generated set that an epoch goes through in a moment."""
    clicks = generated(60, 40, 1200)
    monkeypatch.setattr("benchmarks.context.series.load_clicks", lambda *_, **__: clicks)
    return clicks


def test_every_method_writes_a_line_per_value_and_a_table_per_kind(tmp_path, capsys):
    out, picture = tmp_path / "rows.jsonl", tmp_path / "plot.png"
    arguments = ["--task", "ctr", *SHORT, "--epochs", "1", "--seeds", "1", "--methods", "all", "--wide"]
    recsys.main([*arguments, "--out", str(out), "--plot", str(picture)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    teachers = ["teacher", "teacher.1", "teacher.2", *(f"{kind}.teacher" for kind in KINDS)]
    assert {row["method"] for row in rows} == {*METHODS, *teachers}
    assert len(rows) == 3 * (len(METHODS) + len(teachers))
    assert all(row.keys() >= KEYS | COSTS for row in rows)
    assert {row["metric"] for row in rows} == {"auc", "log_loss", "ece"}
    assert {row["split"] for row in rows} == {"logged", "uniform-simulated"}
    light = {row["parameters"] for row in rows if row["method"] in CLICK_METHODS}
    assert len(light) == 1  # whatever taught it, the net that serves is the plain one
    assert picture.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert printed.count("generated, uniform-simulated") == len(KINDS)
    assert all(name.rpartition(".")[2] in printed for name in METHODS)


def test_the_names_of_the_first_edition_stay():
    assert set(OLD.split()) <= set(METHODS)


def test_settings_of_students_of_a_kind_and_runs_that_are_kept(tmp_path):
    arguments = [*SHORT, "--epochs", "1", "--seeds", "1", "--methods", "kd,mf.bridge", "--runs", str(tmp_path)]
    first = click_through.main([*arguments, "--set", "mf.bridge.weight=0.5"])
    assert {str(row["settings"]) for row in first if row["method"] == "mf.bridge"} == {"{'weight': 0.5}"}
    assert click_through.main([*arguments, "--set", "mf.bridge.weight=0.5"]) == first
    assert len(list((tmp_path / "teachers").iterdir())) == 3  # two of clicks, the uniform model


def test_ranking_stays_the_default(monkeypatch):
    monkeypatch.setattr(click_through, "main", None)
    with pytest.raises(SystemExit):
        recsys.main(["--methods", "crossdistil"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "rrd"], "'rrd' is not a method"),
        (["--methods", "mf.hint"], "'mf.hint' is not a method"),
        (["--student", "net:8"], "a net has layers, as in net:8:16, got 'net:8'"),
        (["--student", "net"], "a model is NAME:WIDTH or NAME:WIDTH:LAYER-LAYER"),
        (["--teachers", "DeepFM:4"], "'DeepFM:4' is a model of RecBole, which needs 'ml-100k', got 'generated'"),
    ],
)
def test_wrong_arguments_end_with_a_message(arguments, message, capsys):
    with pytest.raises(SystemExit):
        click_through.main([*SHORT, *arguments])
    assert message in " ".join(capsys.readouterr().err.split())


def test_models_by_name(small):
    net = build("net:4:8-6", small)
    assert isinstance(net, ClickNet)
    assert hidden(net) == "layers"
    assert [layer.out_features for layer in net.layers if isinstance(layer, torch.nn.Linear)] == [8, 6]


def test_the_average_is_of_probabilities():
    nets = [ClickNet({"a": Field(4)}, 2, [3]) for _ in range(2)]
    batch = {"a": torch.tensor([1, 2])}
    want = sum(net(batch)["logits"].sigmoid() for net in nets) / 2
    torch.testing.assert_close(Averaged(nets)(batch)["logits"].sigmoid().float(), want)
