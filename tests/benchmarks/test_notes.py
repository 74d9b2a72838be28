"""What the library says during a run is kept, each sentence once, and no longer than the run."""

from __future__ import annotations

import logging

import pytest

from benchmarks.notes import noted


def test_warnings_of_the_library_are_kept_once():
    log, other = logging.getLogger("recsys.data.lists"), logging.getLogger("elsewhere")
    with noted() as found:
        log.warning("%r is %d here", "k", 3)
        log.warning("%r is %d here", "k", 3)
        logging.getLogger("graphkd.core").warning("second")
        log.info("nothing")
        other.warning("nothing")
    log.warning("afterwards")
    assert found == ["'k' is 3 here", "second"]


def test_they_are_kept_where_a_run_fails():
    with pytest.raises(ZeroDivisionError), noted() as found:  # noqa: PT012 - the run of a job is such a block
        logging.getLogger("recsys").warning("before")
        1 / 0  # noqa: B018
    assert found == ["before"]
    assert logging.getLogger("recsys").handlers == []
