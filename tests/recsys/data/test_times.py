"""Times are kept without loss."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.times import read_times

NOON = 1_714_564_800  # 2024-05-01 12:00 in UTC


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**62), 2**62), min_size=1))
def test_whole_numbers(times):
    for given_as in (times, list(map(str, times)), np.array(times), torch.tensor(times)):
        read = read_times("times", given_as)
        assert read.dtype == torch.int64
        assert read.tolist() == times


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_other_numbers(times):
    for given_as in (times, list(map(repr, times)), np.array(times)):
        assert read_times("times", given_as).tolist() == times


def test_dates():
    noon, late = datetime(2024, 5, 1, 12), datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    expected = [NOON * 10**9] * 2
    for dates in (
        [noon, late],
        ["2024-05-01 12:00", "2024-05-01T12:00:00Z"],
        ["2024-05-01 14:00+02:00", "2024-05-01T12:00"],
        np.array([noon, noon], dtype="datetime64[s]"),
        [noon.replace(tzinfo=UTC), noon],
    ):
        assert read_times("times", dates).tolist() == expected
    assert (read_times("times", [noon, noon + timedelta(microseconds=1)]).diff() == 1000).all()


def test_columns_of_pandas():
    pandas = pytest.importorskip("pandas")
    moments = pandas.to_datetime(pandas.Series([NOON * 10**9, NOON * 10**9 + 7]))
    for column in (moments, moments.dt.tz_localize("UTC"), moments.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")):
        assert read_times("times", column).tolist() == [NOON * 10**9, NOON * 10**9 + 7]
    with pytest.raises(ValueError, match="missing in rows 1"):
        read_times("times", pandas.Series([moments[0], pandas.NaT]))


@pytest.mark.parametrize(
    ("times", "error", "message"),
    [
        ([1, None], ValueError, "missing in rows 1"),
        (np.array([1.0, np.nan]), ValueError, "missing in rows 1"),
        (["3", ""], ValueError, "missing in rows 1"),
        (np.array([1.0, np.inf]), ValueError, "'times' must be finite, got inf"),
        (["5", "2024-05-01"], ValueError, "must hold numbers, as the first row, got '2024-05-01' in row 1"),
        (["2024-05-01", "yesterday"], ValueError, "must hold numbers or ISO dates, got 'yesterday' in row 1"),
        (["1_000"], ValueError, "got '1_000' in row 0"),
        (["1", str(2**63)], ValueError, "must be within int64"),
        (np.array([2**63], dtype=np.uint64), ValueError, r"must be below 2\*\*63"),
        (np.array([True]), TypeError, "must hold numbers or dates, got bool"),
    ],
)
def test_what_is_refused(times, error, message):
    with pytest.raises(error, match=message):
        read_times("times", times)
