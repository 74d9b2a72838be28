"""The pages of methods are those of today's metadata."""

from __future__ import annotations

import re
from pathlib import Path

import graphkd
import recsys
from docs.pages import HERE, page, pages

ROOT = Path(__file__).parents[2]


def test_the_pages_are_up_to_date():
    for content in pages():
        assert (HERE / content.file).read_text() == page(content), "run python -m docs.pages"


def test_every_method_is_on_a_page_and_says_what_it_does():
    rows = [row for content in pages() for found in content.parts.values() for row in found]
    assert {row.name for row in rows} == {row.name for row in (*graphkd.methods(), *recsys.methods())}
    assert [row.name for row in rows if not row.summary or not row.family] == []
    unnamed = [row.name for row in rows if not row.paper and row.name not in ("none", "alone")]
    assert len(unnamed) < 12, unnamed  # ours, or those whose paper is that of a variant


def test_the_readme_counts_the_methods():
    text = (ROOT / "README.md").read_text()
    counts = re.findall(r"(\d+) methods on graphs and (\d+) of recommenders", text)
    assert counts == [(str(len(graphkd.methods())), str(len(recsys.methods())))]
