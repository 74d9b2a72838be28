"""The table of green offsets: what is counted, and which tests it marks."""

from __future__ import annotations

from tests.schemes.regimes.offsets import table


def lines(**results):
    """A line an offset of the results of each test, in order."""
    count = len(next(iter(results.values())))
    return [
        {"offset": offset, "chosen": [], "green": {name: found[offset] for name, found in results.items()}}
        for offset in range(count)
    ]


def test_tests_below_nine_in_ten_are_marked():
    found = list(table(lines(steady=[True] * 20, enough=[False, False] + [True] * 18, loose=[False] * 3 + [True] * 17)))
    assert found == [
        "  18 of 20  enough  red: 0, 1",
        "! 17 of 20  loose  red: 0, 1, 2",
        "  20 of 20  steady",
    ]


def test_a_later_result_of_an_offset_counts():
    twice = [*lines(mended=[False, True]), {"offset": 0, "chosen": ["mended"], "green": {"mended": True}}]
    assert list(table(twice)) == ["   2 of  2  mended"]
