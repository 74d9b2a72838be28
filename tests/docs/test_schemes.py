"""The page of schemes is that of today's docstrings."""

from __future__ import annotations

from docs.schemes import PAGE, page, schemes


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == page(), "run python -m docs.schemes"


def test_a_scheme_says_what_happens_and_when_to_choose_it():
    found = {scheme.name: scheme for scheme in schemes()}
    assert len(found) > 50
    assert found["schemes.dml"].what == "Deep mutual learning"
    assert found["schemes.dml"].choice.startswith("as the plainest of the online schemes")
    assert all(scheme.what and scheme.choice for scheme in found.values())
