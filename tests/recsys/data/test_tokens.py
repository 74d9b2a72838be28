"""Original ids become rows and keep their names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.tokens import numbered, ordered


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="aN0159 -_\x00\né雪", max_size=4)))
def test_texts_come_back(texts):
    rows, tokens = numbered("users", texts)
    assert [tokens[row] for row in rows.tolist()] == texts
    assert sorted(set(texts)) == sorted(tokens)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**62), 2**62)), st.randoms(use_true_random=False))
def test_numbers_are_in_one_order_in_any_container(numbers, random):
    rows, tokens = numbered("items", numbers)
    assert [int(tokens[row]) for row in rows.tolist()] == numbers
    assert tokens == tuple(map(str, sorted(set(numbers))))
    for other in (list(map(str, numbers)), np.array(numbers, dtype=np.int64), torch.tensor(numbers, dtype=torch.long)):
        again = numbered("items", other)
        assert torch.equal(again[0], rows)
        assert again[1] == tokens
    shuffled = numbers[:]
    random.shuffle(shuffled)
    assert numbered("items", shuffled)[1] == tokens


def test_ids_that_read_as_other_things_are_kept():
    names = ["NA", "null", "None", "nan", "", "007", "7", "TRUE", "7.0", " 7"]
    rows, tokens = numbered("users", names)
    assert [tokens[row] for row in rows.tolist()] == names
    assert len(tokens) == len(names)


def test_order():
    assert ordered(["10", "9", "-3"]) == ("-3", "9", "10")
    assert ordered(["10", "9", "09"]) == ("09", "10", "9")  # as texts, since 09 is no number as Python writes it


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (["a", None, "b", float("nan")], ValueError, "'users' must be known in every row, it is missing in rows 1, 3"),
        (np.array([1.0, np.nan]), ValueError, "missing in rows 1: leave them out"),
        (np.array([1.0, 2.0]), TypeError, r"got float64: use .astype\('int64'\)"),
        ([1, 2.5], TypeError, "got float 2.5 in row 1"),
        (["a", True], TypeError, "got bool True in row 1"),
        ([b"a"], TypeError, "got bytes b'a' in row 0"),
        (np.array([True]), TypeError, "must hold texts or whole numbers, got bool"),
        ("abc", TypeError, "must be a list, array or column, got str"),
        (np.zeros((2, 2), dtype=int), ValueError, r"must be a vector, got shape \(2, 2\)"),
    ],
)
def test_what_is_refused(ids, error, message):
    with pytest.raises(error, match=message):
        numbered("users", ids)


def test_columns_of_pandas():
    pandas = pytest.importorskip("pandas")
    column = pandas.Series(["b", "a", "b"], index=[7, 5, 3])
    for kind in (object, "category", "string"):
        rows, tokens = numbered("users", column.astype(kind))
        assert (rows.tolist(), tokens) == ([1, 0, 1], ("a", "b"))
    assert numbered("users", pandas.Series([3, 1], dtype="Int64"))[1] == ("1", "3")
    for missing in (pandas.Series(["a", None]), pandas.Series([3, None], dtype="Int64"), pandas.Series([3, None])):
        with pytest.raises(ValueError, match="missing in rows 1"):
            numbered("users", missing)
