"""Sequences in the order of time, rows of histories and their split, windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import Interactions
from recsys.data import Sequences, SequenceSplit
from tests.recsys.toy_sequences import chain_split

EVENTS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=40)


def by_hand(events, max_length):
    """Rows of every part as RecBole has them, with loops: user, history, target."""
    parts = {"train": [], "valid": [], "test": []}
    for user in sorted({user for user, _, _ in events}):
        own = sorted((e for e in events if e[0] == user), key=lambda event: event[2])  # stable
        items = [item for _, item, _ in own]
        rows = [(user, items[:place][-max_length:], items[place]) for place in range(1, len(items))]
        held = min(2, max(len(rows) - 1, 0))
        parts["train"] += rows[: len(rows) - held]
        parts["valid"] += rows[-2:-1] if held == 2 else []
        parts["test"] += rows[-1:] if held else []
    return parts


def found_rows(part):
    sequences, lengths, owners = part.histories()
    rows = zip(owners.tolist(), sequences, lengths.tolist(), part.targets.tolist(), strict=True)
    for _, sequence, length, _ in zip(owners, sequences, lengths, part.targets, strict=True):
        assert not sequence[length:].any()
    return [(user, sequence[:length].tolist(), target) for user, sequence, length, target in rows]


@given(EVENTS, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_rows_are_recboles(events, max_length):
    columns = [list(column) for column in zip(*events, strict=True)]
    data = Sequences.from_events(columns[0], columns[1], columns[2], num_users=6, num_items=10)
    wanted = by_hand(events, max_length)
    if not wanted["train"]:
        with pytest.raises(ValueError, match="two items at least"):
            SequenceSplit.leave_one_out(data, max_length)
        return
    split = SequenceSplit.leave_one_out(data, max_length)
    for name, rows in wanted.items():
        assert sorted(found_rows(getattr(split, name))) == sorted(rows)


def test_a_users_items_are_in_the_order_of_time_and_equal_times_in_that_of_the_file():
    data = Sequences.from_events([2, 1, 2, 2, 1], [5, 1, 3, 4, 2], times=[7, 9, 3, 7, 1])
    assert [data.of(user).tolist() for user in range(3)] == [[], [2, 1], [3, 5, 4]]
    assert (data.num_users, data.num_items, len(data)) == (3, 6, 5)
    in_order = Sequences.from_events([2, 1, 2], [5, 1, 3])
    assert in_order.of(2).tolist() == [5, 3]


def test_times_of_today_stay_seconds_apart():
    seconds = np.array([1.7e9 + 1, 1.7e9, 1.7e9 + 2])
    assert Sequences.from_events([1, 1, 1], [1, 2, 3], seconds).of(1).tolist() == [2, 1, 3]


def test_compressed_rows_from_zero_are_moved_up_and_from_one_are_not():
    zero = Sequences.from_arrays([0, 2, 3], np.array([4, 0, 2], dtype=np.int32), 5, first=0)
    assert (zero.num_users, zero.num_items, zero.items.tolist()) == (3, 6, [5, 1, 3])
    assert zero.of(1).tolist() == [5, 1]
    one = Sequences.from_arrays([0, 0, 2, 3], [4, 1, 2], 5)
    assert (one.num_users, one.num_items, one.of(2).tolist()) == (3, 5, [2])


def test_interactions_with_times_keep_their_tokens_and_the_order_of_equal_times():
    pairs = Interactions.from_tokens(
        ["bob", "ann", "ann", "bob", "ann"], ["tea", "jam", "tea", "ale", "jam"], times=[5, 7, 7, 1, 2]
    )
    data = Sequences.from_interactions(pairs)
    names = {data.user_tokens[u]: [data.item_tokens[i] for i in data.of(u).tolist()] for u in range(data.num_users)}
    assert names == {"[PAD]": [], "ann": ["jam", "jam", "tea"], "bob": ["ale", "tea"]}
    ids = torch.tensor([1, 1]), torch.tensor([2, 1])
    padded = Interactions.from_pairs(*ids, 2, 3, padding=True, times=torch.tensor([1, 0]))
    assert Sequences.from_interactions(padded).of(1).tolist() == [1, 2]
    with pytest.raises(ValueError, match="must know the times"):
        Sequences.from_interactions(Interactions.from_pairs(*ids, 2, 3, padding=True))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sequences.from_arrays([0, 2, 1], [1, 1]), "'ptr' must lead from 0 to 2"),
        (lambda: Sequences.from_arrays([0, 2], [1, 1]), "user 0 must have no items"),
        (lambda: Sequences.from_arrays([0, 0, 1], [1], first=2), "'first' must be 0 or 1"),
        (lambda: Sequences.from_events([1, 0], [1, 1]), r"'users' must hold ids from 1 to 1 \(0 is padding\)"),
        (lambda: Sequences.from_events([1], [3], num_items=3), "'items' must hold ids from 1 to 2"),
        (lambda: Sequences.from_events([1, 1], [1]), "vectors of one length"),
        (lambda: Sequences.from_events([1, 1], [1, 2], [0.0, float("nan")]), "'times' must be finite, got 1"),
        (lambda: Sequences.from_events([1, 1], [1, 2], [0]), "one time an event"),
        (lambda: SequenceSplit.leave_one_out(Sequences.from_events([1, 1], [1, 2]), 0), "'max_length' must be"),
        (lambda: SequenceSplit.leave_one_out(Sequences.from_events([1, 2], [1, 2])), "two items at least"),
    ],
)
def test_what_is_wrong_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("max_length", [1, 2, 3, 6])
def test_windows_hold_every_training_row_once_with_the_end_of_its_history(max_length):
    split = chain_split(max_length)
    rows = split.train
    ids = torch.arange(len(rows.windows))
    sequences, lengths, owners = rows.windows.histories(ids)
    members, at = rows.windows.members(ids)
    assert members.tolist() == list(range(len(rows)))
    assert sequences.size(1) <= max_length
    histories, own, users = rows.histories()
    width = sequences.size(1)
    for row, place in zip(members.tolist(), at.tolist(), strict=True):
        window, step = divmod(place, width)
        end = sequences[window, : step + 1]
        assert users[row] == owners[window]
        assert step < lengths[window]
        assert torch.equal(end, histories[row, : own[row]][-(step + 1) :])


def test_what_was_seen_is_all_that_came_before_also_beyond_the_history():
    split = SequenceSplit.leave_one_out(Sequences.from_events([1] * 5, [3, 1, 2, 1, 4]), 2)
    row, items = split.test.seen(torch.tensor([0]))
    assert (row.tolist(), items.tolist()) == ([0, 0, 0, 0], [3, 1, 2, 1])
    assert split.test.histories().sequences.tolist() == [[2, 1]]


def test_pairs_of_a_split_are_the_same_events_without_order():
    split = chain_split()
    pairs = split.pairs()
    assert sum(len(part.events()[0]) for part in (pairs.train, pairs.valid, pairs.test)) == len(split.sequences)
    assert pairs.test.contains(split.test.users, split.test.targets).all()
    assert pairs.train.padding
    whole = split.whole_training()
    for user, sequence, length in zip(whole.users.tolist(), *whole.histories()[:2], strict=True):
        items = split.sequences.of(user)
        held = int((split.valid.users == user).sum() + (split.test.users == user).sum())
        assert sequence[:length].tolist() == items[: len(items) - held][-split.max_length :].tolist()
