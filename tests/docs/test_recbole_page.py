"""The page of RecBole's models has all of them, and says of each what a run of it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import recbole as page
from recsys._recbole_models import kinds

pytestmark = pytest.mark.usefixtures("installed")
TEXT = (Path(page.__file__).parent / "recbole.md").read_text(encoding="utf-8")


@pytest.fixture
def installed():
    pytest.importorskip("recbole", reason="RecBole is not installed: pip install --no-deps recbole==1.2.1")


def lines():
    return {line.split("`")[1]: line for line in TEXT.splitlines() if line.startswith("| `")}


def test_all_models_are_on_it():
    assert set(lines()) == set(kinds())


def test_its_counts_are_those_of_its_rows():
    cells = [line.split(" | ") for line in lines().values()]
    teach, learn = (sum(row[side] != "no" for row in cells) for side in (1, 2))
    assert f"{teach} of {len(cells)} teach, {learn} learn." in " ".join(TEXT.split())


def test_a_model_that_is_refused():
    assert page.row_of("XGBoost").learns.startswith("refused: decision trees")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BPR", "EASE", "NCL", "MultiVAE", "CKE", "FM", "KGIN"])
def test_a_row_is_what_a_run_says(name):
    assert page._line(page.row_of(name)) == lines()[name]
