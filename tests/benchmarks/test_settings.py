"""Settings files name methods and hyper-parameters that there are."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import graphkd

FILES = sorted((Path(__file__).parents[2] / "benchmarks" / "settings").glob("*.toml"))
KINDS = ("gcn", "gat", "sage")
TRAINING = {"lr", "weight_decay", "epochs", "patience"}
ROWS = {row.name: row for row in graphkd.methods()}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_that_is_set_exists(file):
    for name, table in tomllib.loads(file.read_text()).items():
        kinds = {key for key, value in table.items() if isinstance(value, dict)}
        assert kinds <= {*KINDS, "ratings"}
        for settings in (table, *(table[kind] for kind in kinds)):
            assert settings.keys() - kinds <= ROWS[name].settings.keys() | TRAINING


def test_the_published_settings_of_a_data_set_depend_on_the_teacher():
    cora = tomllib.loads(next(file for file in FILES if file.stem == "cora").read_text())
    assert {kind: cora["cpf_ind"][kind]["steps"] for kind in KINDS} == {"gcn": 8, "gat": 5, "sage": 9}
    assert cora["cpf_tra"]["sage"]["lr"] == 0.01
