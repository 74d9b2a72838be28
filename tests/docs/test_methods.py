"""The page of losses is that of today's classes, and says what it should of each."""

from __future__ import annotations

from docs.methods import PAGE, ROOMS, entry, losses, page
from graphkd.losses import SP


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == page(), "run python -m docs.methods"


def test_every_loss_says_what_it_transfers_and_where_that_is_from():
    kinds = [kind for room in ROOMS for _, found in losses(room) for kind in found]
    assert len(kinds) > 60
    found = {kind.__name__: entry(kind) for kind in kinds}
    assert [name for name, about in found.items() if not about.what] == []
    assert [kind.__name__ for kind in kinds if kind.needs_teacher and not found[kind.__name__].paper] == []


def test_an_entry_is_read_from_the_docstring():
    found = entry(SP)
    assert found.what == "Similarity preserving: match how alike nodes are, relative to all others"
    assert found.paper == "Tung and Mori, ICCV 2019."
    assert found.reads == "hidden"
    assert "O(N d_s d_t)" in found.cost
    assert found.notes == "The authors' weight is 3000."
