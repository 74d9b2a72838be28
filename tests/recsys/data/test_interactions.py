"""The set of pairs is a set of pairs: compared with Python's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import Interactions, Split
from recsys.data.same_ids import check_same_ids
from tests.recsys.laws import as_sets, toy


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_all_is_as_with_sets(data):
    num_users, num_items = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 7))
    pair = st.tuples(st.integers(0, num_users - 1), st.integers(0, num_items - 1))
    listed = data.draw(st.lists(pair, max_size=20))
    users, items = (torch.tensor([each[side] for each in listed], dtype=torch.long) for side in (0, 1))
    pairs = Interactions.from_pairs(users, items, num_users, num_items)
    truth = sorted(set(listed))
    assert len(pairs) == len(truth)
    assert list(zip(*(each.tolist() for each in pairs.pairs()), strict=True)) == truth
    everyone, everything = torch.arange(num_users)[:, None], torch.arange(num_items)[None]
    inside = pairs.contains(everyone, everything)
    assert {tuple(place) for place in inside.nonzero().tolist()} == set(truth)
    assert pairs.degrees().tolist() == [sum(user == u for user, _ in truth) for u in range(num_users)]
    assert pairs.counts().tolist() == [sum(item == i for _, item in truth) for i in range(num_items)]
    flipped = pairs.transpose()
    assert list(zip(*(each.tolist() for each in flipped.pairs()), strict=True)) == sorted((i, u) for u, i in truth)
    assert (flipped.num_users, flipped.num_items) == (num_items, num_users)
    some = torch.tensor(data.draw(st.lists(st.integers(0, num_users - 1), max_size=5)), dtype=torch.long)
    rows, found = pairs.of(some)
    expected = [(row, item) for row, u in enumerate(some.tolist()) for user, item in truth if user == u]
    assert list(zip(rows.tolist(), found.tolist(), strict=True)) == expected


def test_types_and_order():
    pairs = Interactions.from_pairs(torch.tensor([1, 0, 1, 1]), torch.tensor([2, 1, 0, 2]), 3, 3)
    assert pairs.ptr.tolist() == [0, 1, 3, 3]
    assert pairs.items.tolist() == [1, 0, 2]
    assert (pairs.ptr.dtype, pairs.items.dtype) == (torch.int64, torch.int32)


def test_union():
    one, other = toy(seed=0), toy(seed=1)
    assert as_sets(one.union(other)) == [a | b for a, b in zip(as_sets(one), as_sets(other), strict=True)]


def test_large_ids_do_not_overflow():
    pairs = Interactions.from_pairs(torch.tensor([99_999]), torch.tensor([99_998], dtype=torch.int32), 10**5, 10**5)
    assert pairs.contains(torch.tensor([99_999, 99_998]), torch.tensor([99_998, 99_999])).tolist() == [True, False]


@pytest.mark.parametrize(
    ("users", "items", "padding", "message"),
    [
        ([0, 5], [0, 1], False, "'users' must hold ids from 0 to 4, got 5 at position 1"),
        ([0, -1], [0, 1], False, "'users' must hold ids from 0 to 4, got -1"),
        ([0, 1], [7, 0], False, "'items' must hold ids from 0 to 6, got 7 at position 0; 1 ids"),
        ([1, 1], [1, 0], True, "'items' must hold ids from 1 to 6 \\(0 is padding\\), got 0 at position 1"),
    ],
)
def test_ids_out_of_range_are_named(users, items, padding, message):
    with pytest.raises(ValueError, match=message):
        Interactions.from_pairs(torch.tensor(users), torch.tensor(items), 5, 7, padding=padding)


def test_wrong_types_and_shapes_are_named():
    with pytest.raises(TypeError, match="'items' must hold integer ids, got torch"):
        Interactions.from_pairs(torch.tensor([0]), torch.tensor([0.0]), 1, 1)
    with pytest.raises(ValueError, match=r"'users' and 'items' must be vectors of one length, got \[2\] and \[3\]"):
        Interactions.from_pairs(torch.zeros(2, dtype=torch.long), torch.zeros(3, dtype=torch.long), 1, 1)
    with pytest.raises(ValueError, match="'others' must be over 30 users × 40 items, got 31 users × 40 items"):
        toy().union(toy(num_users=31))


class TestSameIds:
    def split(self, seed=0, tokens=("a", "b", "c"), size=3):
        parts = [toy(3, size, 4, seed=seed + part) for part in range(3)]
        return Split(*parts, user_tokens=tokens, item_tokens=None)

    def test_the_same(self):
        check_same_ids(self.split(), self.split())
        check_same_ids(self.split(tokens=None), self.split())

    def test_other_tokens(self):
        with pytest.raises(ValueError, match="user 1 = 'x' for the teacher and 'b' for the student"):
            check_same_ids(self.split(tokens=("a", "x", "c")), self.split())

    def test_other_sizes(self):
        with pytest.raises(ValueError, match="'teacher' must be over 3 users × 3 items, got 3 users × 4 items"):
            check_same_ids(self.split(size=4), self.split())

    def test_another_split(self):
        with pytest.raises(ValueError, match="must be trained on the student's training pairs, got"):
            check_same_ids(self.split(seed=5), self.split())
