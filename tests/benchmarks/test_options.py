"""What is written on the command line, and what comes of what is mistyped."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import options
from graphkd.core.method import Metadata

KNOWN = [
    Metadata("none", family="response"),
    Metadata("kd", family="response", paper="Hinton", settings={"temperature": 4.0, "kind": "plain", "warm_up": 20}),
    Metadata("cpf_ind", family="gnn", needs=("edges",), settings={"lr": 0.1, "steps": 8, "deep": True, "paths": None}),
]
GROUPS = {"all": ["none", "kd", "cpf_ind"]}


def parse(*argv: str, kind: str = "") -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dataset", default="toy")
    parser.add_argument("--epochs", type=int)
    options.add_methods(parser, KNOWN, default="none", groups=GROUPS)
    arguments = parser.parse_args(argv)
    options.use_methods(parser, arguments, KNOWN, GROUPS, kind)
    return arguments


def test_groups_and_names_are_each_once():
    assert parse("--methods", "kd,all").methods == ["kd", "none", "cpf_ind"]


def test_settings_have_the_types_of_their_defaults():
    given = parse(
        *("--methods", "all", "--set", "kd.temperature=2", "--set", "kd.kind=odd", "--set", "kd.warm_up=3"),
        *("--set", "cpf_ind.deep=false", "--set", "cpf_ind.paths=('a', 'b')", "--set", "kd.weight_decay=0.1"),
    ).given
    assert given["kd"] == {"temperature": 2.0, "kind": "odd", "warm_up": 3, "weight_decay": 0.1}
    assert given["cpf_ind"] == {"deep": False, "paths": ("a", "b")}
    assert type(given["kd"]["temperature"]) is float


def test_some_settings_are_of_training_unless_the_method_has_its_own():
    kd, cpf = KNOWN[1:]
    assert options.split_settings(kd, {"lr": 0.1, "kind": "x"}) == ({"kind": "x"}, {"lr": 0.1})
    assert options.split_settings(cpf, {"lr": 0.1, "epochs": 3}) == ({"lr": 0.1}, {"epochs": 3})


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--methods", "nnoe"], "'nnoe' is not a method; the nearest are 'none', "),
        (["--methods", "nnoe"], "--list shows all"),
        (["--set", "dk.temperature=1"], "'dk' is not a method; the nearest are 'kd', "),
        (
            ["--methods", "kd", "--set", "kd.heat=1"],
            "'heat' is not a setting of 'kd'; the nearest are '",
        ),
        (["--set", "kd.temperature=1"], "is of no effect: 'kd' is not among '--methods'"),
        (["--methods", "kd", "--set", "kd.temperature=hot"], "'--set kd.temperature=hot' must be of type float"),
        (["--methods", "kd", "--set", "kd.warm_up=0.5"], "must be of type int"),
        (["--methods", "cpf_ind", "--set", "cpf_ind.deep=2"], "must be true or false"),
        (["--set", "temperature"], "'--set' must be METHOD.NAME=VALUE, got 'temperature'"),
        (["--seeds", "0"], "'--seeds' must be at least 1, got 0"),
    ],
)
def test_what_is_wrong_ends_with_a_message(argv, said, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(*argv)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_list_of_methods(capsys):
    with pytest.raises(SystemExit) as ended:
        parse("--list")
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("method", "family", "paper", "needs", "cpf_ind", "Hinton", "edges"))


def test_files_come_before_defaults_the_teachers_part_before_both_and_the_command_line_first(tmp_path, monkeypatch):
    monkeypatch.setattr(options, "SETTINGS", tmp_path)
    (tmp_path / "all.toml").write_text("[kd]\ntemperature = 1.0\nkind = 'all'\nepochs = 7\n")
    (tmp_path / "toy.toml").write_text("[kd]\ntemperature = 2.0\n[kd.gat]\nwarm_up = 1\n[cpf_ind]\nsteps = 1\n")
    assert parse("--methods", "kd", kind="gcn").given == {"kd": {"temperature": 2.0, "kind": "all", "epochs": 7}}
    found = parse("--methods", "kd", "--set", "kd.warm_up=5", "--epochs", "3", kind="gat").given
    assert found == {"kd": {"temperature": 2.0, "kind": "all", "warm_up": 5}}
    (tmp_path / "toy.toml").write_text("[kd]\nheat = 2.0\n")
    with pytest.raises(SystemExit):
        parse("--methods", "kd")
