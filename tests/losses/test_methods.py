"""Every named loss trains a student, and stands on the shelf of its family."""

from __future__ import annotations

import pytest

from graphkd.core.catalogue import Catalogue
from tests.losses.methods import trained

ROWS = Catalogue("graphkd.losses").select(task="node_classification")
LAYERS = ("convs.0", "convs.1:in")  # of one width
MORE = {"fsp": {"layers": LAYERS}, "irg_transform": {"layers": LAYERS}}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_named_loss(row):
    result = trained(row.name, **MORE.get(row.name, {}))
    assert result.method == row.name
    assert 0 <= result.scores["test"]["accuracy"] <= 1
    assert row.module.split(".")[:3] == ["graphkd", "losses", row.family]
    assert row.summary.endswith(".")
