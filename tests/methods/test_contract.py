"""Every method, by its metadata: one training each way."""

from __future__ import annotations

from dataclasses import replace

import pytest

import graphkd
from tests.lanes import thinned
from tests.methods import contract, scene

ROWS = {  # by name, and by name and task for the further tasks of a method
    row.name if place == 0 else f"{row.name}-{kind}": replace(row, tasks=(kind,))
    for row in graphkd.methods()
    for place, kind in enumerate(row.tasks)
    if kind in scene.KINDS
}
# In the fast lane a few are broken off, at one place; in the slow lane all, at a dozen.
LONG = ("crcd", "mhat", "activation_records", "pate", "tri_training")
RESUMED = [name for name, row in ROWS.items() if row.family != "federated" and row.name not in LONG]
able = lambda what: [name for name, row in ROWS.items() if what not in row.cannot]  # noqa: E731


@pytest.fixture
def row(request):
    return ROWS[request.param]


@pytest.mark.parametrize("row", thinned(ROWS, 2), indirect=True)
def test_leaves_alone_what_it_is_given(row):
    contract.leaves_alone(row)


@pytest.mark.parametrize("row", [name for place, name in enumerate(RESUMED) if place % 6 == 0], indirect=True)
def test_a_broken_run_goes_on_to_the_same_bits(row, tmp_path):
    contract.resumes(row, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, indirect=True)
def test_a_run_goes_on_wherever_it_is_broken_off(row, tmp_path):
    """At a dozen places spread over the run, in every stage of most."""
    contract.resumes(row, tmp_path, most=12)


@pytest.mark.parametrize("row", thinned(able("loader"), 3), indirect=True)
def test_takes_a_loader(row):
    contract.takes_a_loader(row)


@pytest.mark.parametrize("row", thinned([name for name in ROWS if "clients" not in ROWS[name].needs], 4), indirect=True)
def test_takes_sparse_features_or_refuses_them(row):
    contract.takes_sparse_features(row)


@pytest.mark.parametrize("row", thinned(able("call"), 3), indirect=True)
def test_takes_models_with_odd_signatures(row):
    contract.takes_calls(row)


@pytest.mark.parametrize(
    ("row", "kind"),
    thinned([(name, kind) for kind in ("cached", "ensemble") for name in able(kind) if ROWS[name].teacher], 3),
    indirect=["row"],
)
def test_takes_other_teachers(row, kind):
    contract.takes_teachers(row, kind)
