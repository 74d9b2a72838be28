"""The catalogue: names, files and tests go together."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphkd
import recsys
from graphkd.core.method import KINDS as METHOD_KINDS
from graphkd.core.method import NEEDS
from graphkd.distil import CATALOGUE

ROOT = Path(__file__).parents[2]
ROWS = [*graphkd.methods(), *recsys.methods()]
TESTS = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
KINDS = {*METHOD_KINDS["rows"], "anomaly_detection"}


def stem(row) -> str:
    return row.module.rpartition(".")[2]


def plain(name: str) -> str:
    return name.replace("_", "").replace("-", "")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("kdcl_linear", "graphkd/schemes/online/kdcl.py"),
        ("takd", "graphkd/schemes/teachers/takd.py"),
        ("tmkd", "graphkd/schemes/teachers/tmkd.py"),
        ("pkt", "graphkd/losses/information/pkt.py"),
        ("srrl", "graphkd/losses/features/srrl.py"),
        ("metadistil", "graphkd/schemes/teachers/metadistil.py"),
        ("tscl", "graphkd/schemes/teachers/tscl.py"),
        ("rl_kd", "graphkd/schemes/teachers/rl_kd.py"),
        ("okddip", "graphkd/schemes/online/okddip.py"),
        ("irrrd", "recsys/methods/lists/irrrd.py"),
        ("dcd", "recsys/methods/lists/dcd.py"),
    ],
)
def test_a_method_stands_in_the_file_of_its_name(name, file):
    assert next(row.module for row in ROWS if row.name == name) == file.removesuffix(".py").replace("/", ".")


def test_every_name_begins_with_that_of_its_file():
    wrong = {row.name: stem(row) for row in ROWS if not plain(row.name).startswith(plain(stem(row)))}
    # forms of one paper's loss under names of their own
    forms = {f"feature_{kind}": "feature_distance" for kind in ("l1", "l2", "huber")}
    forms |= {"attentive_hint": "attentive_imitation", "fedcad": "fedssd", "tf_kd_self": "virtual_teacher"}
    assert wrong == forms


def test_every_file_of_methods_has_a_test_file():
    missing = sorted({row.module for row in graphkd.methods() if f"test_{stem(row)}.py" not in TESTS})
    assert missing == []


def test_a_family_is_a_shelf():
    assert [row.name for row in graphkd.methods() if row.module.split(".")[-2] != row.family] == []


def test_most_methods_need_a_student_a_teacher_and_a_graph_alone():
    rows = graphkd.methods(task="node_classification")
    assert sum(not set(row.needs) - {"hidden", "edges", "whole graph"} for row in rows) >= 100
    assert sum("whole graph" in row.needs for row in rows) <= 15


def test_what_a_method_needs_is_described():
    assert {need for row in ROWS for need in row.needs} <= set(NEEDS)
    assert {kind for row in graphkd.methods() for kind in row.tasks} <= KINDS


def test_what_a_method_cannot_take_has_a_reason():
    for row in ROWS:
        for what, reason in row.cannot.items():
            assert what in ("loader", "call", "cached", "ensemble", "heterogeneous", "sparse", "student"), row.name
            assert len(reason.split()) >= 4, row.name


@pytest.mark.parametrize("row", graphkd.methods(), ids=lambda row: row.name)
def test_a_method_says_what_it_does_and_when_to_choose_it(row):
    found = CATALOGUE.find(row.name)
    text = " ".join((found.__doc__ or "").split())
    assert "hoose " in text, row.name
    assert row.summary.split()[0].strip(",").isalpha(), row.name
