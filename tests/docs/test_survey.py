"""The page of the survey's works: none is missing, and each scheme has a regime in which it was shown."""

from __future__ import annotations

import graphkd
import recsys
from docs import survey
from docs.pages import HERE

ROWS = [*graphkd.methods(), *recsys.methods()]

# Numbers of the works that can be restated for graphs or recommenders, in sections 2 to 5, 6.1.4, 6.5 and 7.
WORKS = {4, 5, 6, 7, 8, 9, 10, 11, 15, 18, 19, 20, 21, 22, 23, 24, 26, 27, 28, 30, 31, 33, 34, 35, 36, 45, 47, 48}
WORKS |= {*range(50, 54), *range(56, 94)}
WORKS |= {*range(108, 128), *range(136, 149), 160, *range(162, 168), *range(193, 198), *range(201, 208)}


def test_no_work_of_the_survey_is_missing():
    named = {number for row in ROWS for number in row.survey} | set(survey.OTHERS)
    assert WORKS - named == set()


def test_every_scheme_has_a_regime_or_the_page_says_what_was_seen():
    shown = survey.regime_files()
    rooms = ("graphkd.schemes.", "graphkd.gnn.")
    schemes = {row.name for row in graphkd.methods() if row.module.startswith(rooms)}
    assert schemes - set(shown) == set(survey.WITHOUT_REGIME)


def test_regimes_name_methods():
    assert set(survey.regime_files()) - {row.name for row in ROWS} == set()


def test_the_page_is_up_to_date():
    assert (HERE / "survey.md").read_text() == survey.page(ROWS), "run python -m docs.pages"


def test_regimes_were_green_at_nine_offsets_in_ten():
    """Of those committed, each of a test as it is now; a test that is changed loses its lines."""
    counts = {name: tuple(map(int, found.split(" of "))) for name, found in survey.green_offsets().items()}
    assert len(counts) > 60
    assert [name for name, (green, run) in counts.items() if green < 0.9 * run and run - green > 1] == []
