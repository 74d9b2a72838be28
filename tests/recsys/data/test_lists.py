"""How long a list is: as asked for, as usual, or as a small data set allows."""

from __future__ import annotations

import logging

import pytest

from recsys.data.lists import list_length


def test_what_is_asked_for_or_usual(caplog):
    with caplog.at_level(logging.WARNING):
        assert list_length("k", 3, 40, 10, "all") == 3
        assert list_length("k", None, 40, 40, "all") == 40
    assert not caplog.text


def test_a_usual_length_shrinks_and_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        assert list_length("k", None, 40, 7, "all there are") == 7
    assert "'k' is 7 here, all there are, not 40" in caplog.text


@pytest.mark.parametrize(("asked", "most"), [(8, 7), (0, 7), (None, 0)])
def test_what_cannot_be_is_refused(asked, most):
    with pytest.raises(
        ValueError, match=f"'k' must be from 1 to {most}, all there are, got {40 if asked is None else asked}"
    ):
        list_length("k", asked, 40, most, "all there are")
