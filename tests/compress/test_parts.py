"""The parts that need no training: budgets, fronts, tables, pictures and the report."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkd.compressing.budget import Budget, Costs
from graphkd.compressing.front import Front
from graphkd.compressing.pareto import best_half, fronts, ordered
from graphkd.compressing.picture import Axes, draw
from graphkd.compressing.report import html
from graphkd.compressing.tables import aligned, shown

FEW = settings(max_examples=40, deadline=None)
COSTS = Costs(0.5, 1000, 0.004, "numpy")


# ------------------------------------------------------------------ budgets
def test_a_budget_says_by_what_it_is_exceeded():
    assert Budget().over(COSTS) == ""
    assert Budget(0.5, 1000, 0.004).over(COSTS) == ""
    assert Budget(0.2, 100).over(COSTS) == "0.5 ms, the budget has 0.2; 1000 parameters, the budget has 100"
    assert Budget(megabytes=0.001).over(COSTS) == "0.004 MB, the budget has 0.001"
    assert Budget(0.25, 2000).excess(COSTS) == 2.0
    assert Budget().excess(COSTS) == 0.0
    assert Budget(latency_ms=1).over(Costs(math.nan, 1, 1, "")) != ""  # what is not known is not within
    assert str(Budget(0.2, 5)) == "latency_ms 0.2, parameters 5"
    assert str(Budget()) == "no limit"


@pytest.mark.parametrize(
    ("limits", "error", "words"),
    [
        ({"latency_ms": 0}, ValueError, "'latency_ms' of a budget must be above 0, got 0"),
        ({"parameters": -1}, ValueError, "'parameters' of a budget must be above 0"),
        ({"megabytes": math.inf}, ValueError, "'megabytes' must be a finite number"),
        ({"latency_ms": "fast"}, TypeError, "'latency_ms' must be a number, got str"),
    ],
)
def test_wrong_budgets(limits, error, words):
    with pytest.raises(error, match=words):
        Budget(**limits)


# ------------------------------------------------------------------ fronts
POINTS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12)


@FEW
@given(POINTS)
def test_fronts_by_their_definition(points):
    named = dict(enumerate(points))
    found = fronts(named)
    assert sorted(number for front in found for number in front) == sorted(named)
    for place, front in enumerate(found):
        left = [number for later in found[place:] for number in later]
        for number in left:
            others = [named[other] for other in left if named[other] != named[number]]
            beaten = any(all(a >= b for a, b in zip(other, named[number], strict=True)) for other in others)
            twin = any(other < number and named[other] == named[number] for other in left)
            assert (number in front) == (not beaten and not twin)


@FEW
@given(POINTS, st.integers(1, 5))
def test_the_better_half(points, least):
    named = dict(enumerate(points))
    found = best_half(named, least)
    assert len(found) == min(len(points), max(least, math.ceil(len(points) / 2)))
    assert found == sorted(ordered(named)[: len(found)])
    best = max(named, key=lambda number: (named[number][0], -number))
    assert named[best][0] in [named[number][0] for number in found]  # the most accurate goes on


# ------------------------------------------------------------------ what is shown
def test_tables():
    rows = [{"name": "a", "value": 0.12345, "count": 12345}, {"name": "long", "value": None, "more": True}]
    lines = aligned(rows).splitlines()
    assert lines[0].split() == ["name", "value", "count", "more"]
    assert lines[1].split() == ["a", "0.1235", "12,345", "-"]
    assert lines[2].split() == ["long", "-", "-", "true"]
    assert aligned([]) == ""
    assert shown({"lr": 1e-5, "kind": ["a", 2]}) == "lr 1e-05, kind a, 2"


NASTY = '<script>alert("x")</script>&\'"'


def points(*names):
    kinds = ("front", "tried", "teacher")
    return [
        {"name": name, "kind": kinds[n % 3], "latency_ms": 0.1 * (n + 1), "score": 0.5 + 0.1 * n}
        for n, name in enumerate(names)
    ]


def test_a_picture_is_well_formed_and_escaped():
    picture = draw(points(NASTY, NASTY, NASTY, "plain"), NASTY, 0.2)
    root = ElementTree.fromstring(picture)
    texts = [element.text for element in root.iter() if element.text and element.text.strip()]
    assert NASTY in texts
    assert "<script" not in picture
    assert "budget" in texts


@FEW
@given(st.text(max_size=9), st.floats(-1e3, 1e3), st.floats(1e-6, 1e4), st.sampled_from(["front", "tried", "teacher"]))
def test_pictures_of_anything(name, score, latency, kind):
    one = {"name": name, "kind": kind, "latency_ms": latency, "score": score}
    ElementTree.fromstring(draw([one, {**one, "latency_ms": None}, {**one, "score": math.nan}], name, latency))


@pytest.mark.parametrize("found", [[], points("one"), [{**points("t")[0], "latency_ms": None, "kind": "teacher"}]])
def test_pictures_of_little(found):
    ElementTree.fromstring(draw(found, "accuracy"))
    ElementTree.fromstring(draw(found, "accuracy", 0.1))


@FEW
@given(st.floats(1e-6, 1e4), st.floats(1e-6, 1e4), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_points_lie_inside_the_picture(one, other, low, high):
    axes = Axes([one, other], [low, high])
    for latency in (one, other):
        assert 70 <= axes.x(latency) <= 610
    for score in (low, high):
        assert 20 <= axes.y(score) <= 370
    assert all(70 <= axes.x(tick) <= 610 for tick in axes.x_ticks())
    assert all(20 <= axes.y(tick) <= 370 for tick in axes.y_ticks())
    assert len(axes.y_ticks()) <= 12


class Page(HTMLParser):
    """Tags that were opened, and whether all were closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "line", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("line", "polyline"):
            assert self.open.pop() == tag


@FEW
@given(st.text(max_size=20), st.text(max_size=20))
def test_a_report_is_one_escaped_file(name, reason):
    name, reason = name + NASTY, reason + NASTY
    page = html(
        draw(points(name), name),
        {name: [{"student": name, name: 0.5}], "Left": [{"student": name, "reason": reason}], "None": []},
        [{"student": name, "settings": {name: reason}}],
        {"trials": 3, name: name},
    )
    read = Page(page)
    assert read.open == []
    assert "script" not in read.tags
    assert not re.search(r"(src|href|@import|url\()", page.replace(name, "").replace(reason, ""))
    assert "None</h2>" not in page


def test_an_empty_front_says_what_is_nearest():
    row = {"student": "mlp", "latency_ms": 0.5, "parameters": 10, "megabytes": 0.1, "form": "numpy", "reason": "slow"}
    front = Front([], Budget(latency_ms=0.1), "accuracy", [row, {**row, "student": "large", "latency_ms": 2.0}])
    assert len(front) == 0
    with pytest.raises(ValueError, match=r"no student is within the budget, latency_ms 0.1; the nearest is 'mlp' with"):
        front.best()
    assert front.table() == ""
