"""The ends of the ranges that a search looks through are settings that a method takes."""

from __future__ import annotations

import pytest

from tests.methods import recommenders, scene
from tests.methods.test_contract import ROWS as GRAPHS
from tests.methods.test_recsys import ROWS as RECOMMENDERS

CASES = [
    pytest.param(of, row, end, id=f"{name}-{'low' if end == 0 else 'high'}")
    for of, rows in ((scene, GRAPHS), (recommenders, RECOMMENDERS))
    for name, row in rows.items()
    for end in (0, 1)
    if row.space
]


@pytest.mark.slow
@pytest.mark.parametrize(("of", "row", "end"), CASES)
def test_the_ends_of_its_ranges_are_taken(of, row, end):
    settings = {name: known[end] for name, known in row.space.items()}
    of.run(row, {**of.arguments(row), **settings, "epochs": 1})


def test_published_settings_are_within_their_ranges():
    for _, row, _ in (case.values for case in CASES):
        outside = {
            name: (row.settings[name], known)
            for name, known in row.space.items()
            if row.settings[name] and not known[0] <= row.settings[name] <= known[1]  # 0 is what is left out
        }
        assert outside == {}, row.name
