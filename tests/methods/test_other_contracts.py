"""The contract of methods that serve no task of nodes: they resume, leave alone what they are given, and repeat."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import graphkd
from tests.methods import contract, other_tasks

ROWS = {row.name: row for row in graphkd.methods() if row.tasks[0] in other_tasks.KINDS and row.name != "gfkd"}


def arguments(row):
    return {**other_tasks.arguments(row, row.tasks[0]), "save_every": 1, **OWN.get(row.name, dict)()}


def run(row, given=None, **options):
    given = {**(arguments(row) if given is None else given), **options}
    student, teacher, data = given.pop("student"), given.pop("teacher"), given.pop("data")
    return graphkd.distil(row.name, student, teacher, data, **given)


OWN = {
    "mugsi": lambda: {
        "student": other_tasks.Pooled(5, 12),
        "teacher": other_tasks.Pooled(1, 12),
        "layers": ("conv", "embed"),
    }
}
SCENE = SimpleNamespace(arguments=arguments, run=run, poisoned=lambda data, kind: data)


@pytest.mark.parametrize("name", ROWS)
def test_leaves_alone_what_it_is_given(name):
    contract.leaves_alone(ROWS[name], SCENE)


@pytest.mark.parametrize("name", ROWS)
def test_a_broken_run_goes_on_to_the_same_bits(name, tmp_path):
    contract.resumes(ROWS[name], tmp_path, scene=SCENE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_the_ends_of_its_ranges_are_taken(name):
    row = ROWS[name]
    for end in (0, 1):
        run(row, {**arguments(row), **{key: known[end] for key, known in row.space.items()}, "epochs": 1})
