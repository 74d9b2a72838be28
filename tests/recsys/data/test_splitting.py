"""Splits: every event is in one part, and in the right one."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import Interactions, Split
from recsys.data.splitting import time_order
from recsys.tasks import Ranking
from tests.recsys.laws import toy

EVENTS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["x", "y", "10", "9", "NA"]), st.integers(0, 5)), min_size=1
)


def log(events):
    return Interactions.from_tokens(*([event[side] for event in events] for side in range(3)))


def told(pairs):
    """Users, items and times of events, by row."""
    users, items = pairs.events()
    rows = zip(pairs.rows.tolist(), users.tolist(), items.tolist(), pairs.times.tolist(), strict=True)
    return {row: (pairs.user_tokens[user], pairs.item_tokens[item], time) for row, user, item, time in rows}


def parts_of(split):
    found = [told(part) for part in (split.train, split.valid, split.test)]
    assert len(set().union(*found)) == sum(map(len, found))
    return found


@settings(max_examples=50, deadline=None)
@given(EVENTS, st.integers(0, 9), st.booleans())
def test_all_events_are_in_one_part_as_they_were(events, seed, within):
    pairs, whole = log(events), dict(enumerate(events))
    assert told(pairs) == whole
    for split in (
        Split.ratio(pairs, seed=seed, within_users=within),
        Split.by_time(pairs, (2, 1, 1), within_users=within),
        Split.leave_last_out(pairs),
    ):
        parts = parts_of(split)
        assert parts[0] | parts[1] | parts[2] == whole
        assert (split.user_tokens, split.item_tokens) == (pairs.user_tokens, pairs.item_tokens)


def recbole_counts(total, shares):
    """RecBole's ``_calcu_split_ids``, as it has it."""
    counts = [int(share * total) for share in shares]
    counts[0] = total - sum(counts[1:])
    for place in range(1, len(shares)):
        if counts[0] <= 1:
            break
        if 0 < shares[-place] * total < 1:
            counts[-place] += 1
            counts[0] -= 1
    return counts


@settings(max_examples=50, deadline=None)
@given(EVENTS, st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (1.0, 0.0, 0.0), (0.75, 0.0, 0.25)]))
def test_by_time_takes_the_last_events(events, shares):
    within, together = (parts_of(Split.by_time(log(events), shares, within_users=each)) for each in (True, False))
    order = sorted(range(len(events)), key=lambda row: (events[row][2], row))
    ends = recbole_counts(len(events), shares)
    expected = order[: ends[0]], order[ends[0] : ends[0] + ends[1]], order[ends[0] + ends[1] :]
    assert [set(part) for part in together] == [set(part) for part in expected]
    own = defaultdict(list)
    for row in order:
        own[events[row][0]].append(row)
    for rows in own.values():
        ends = recbole_counts(len(rows), shares)
        expected = rows[: ends[0]], rows[ends[0] : ends[0] + ends[1]], rows[ends[0] + ends[1] :]
        assert [set(part) & set(rows) for part in within] == [set(part) for part in expected]


@settings(max_examples=50, deadline=None)
@given(EVENTS)
def test_leave_last_out(events):
    train, valid, test = parts_of(Split.leave_last_out(log(events)))
    for user in {event[0] for event in events}:
        rows = sorted(
            (row for row in range(len(events)) if events[row][0] == user), key=lambda row: (events[row][2], row)
        )
        assert [row for row in rows if row in test] == rows[-1:] * (len(rows) > 1)
        assert [row for row in rows if row in valid] == rows[-2:-1] * (len(rows) > 2)
        assert [row for row in rows if row in train] == rows[: max(len(rows) - 2, 1)]


@settings(max_examples=50, deadline=None)
@given(EVENTS)
def test_a_random_split_keeps_repeats_together(events):
    parts = parts_of(Split.ratio(log(events), (2, 1, 1)))
    homes = defaultdict(set)
    for place, part in enumerate(parts):
        for user, item, _ in part.values():
            homes[user, item].add(place)
    assert all(len(places) == 1 for places in homes.values())
    for user in "abcd":
        pairs = [Counter(key for key in {event[:2] for event in part.values()} if key[0] == user) for part in parts]
        sizes = [len(each) for each in pairs]
        assert sizes == (recbole_counts(sum(sizes), (0.5, 0.25, 0.25)) if sum(sizes) else [0, 0, 0])


def test_a_random_split_is_of_its_seed():
    pairs = toy()
    first, again, other = (Split.ratio(pairs, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.test.keys, again.test.keys)
    assert not torch.equal(first.test.keys, other.test.keys)


class TestByRows:
    pairs = Interactions.from_tokens(list("aabbc"), list("xyxyx"))

    def test_numbers_and_masks(self):
        split = Split.by_rows(self.pairs, [0, 2], [4], torch.tensor([False, True, False, False, False]))
        assert [part.rows.tolist() for part in (split.train, split.valid, split.test)] == [[0, 2], [4], [1]]
        assert split.train.pairs()[0].tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (([0], [0], [1]), "'valid' must have rows of its own, row 0 is in two places"),
            (([0, 0], [1], [2]), "'train' must have rows of its own, row 0"),
            (([5], [1], [2]), "'train' must hold rows from 0 to 4, got 5"),
            (([0], [1], [True]), "'test' must say of each of 5 rows"),
        ],
    )
    def test_what_is_refused(self, rows, message):
        with pytest.raises(ValueError, match=message):
            Split.by_rows(self.pairs, *rows)
        with pytest.raises(ValueError, match="'pairs' must know their rows"):
            Split.by_rows(toy(), [0], [1], [2])


@settings(max_examples=50, deadline=None)
@given(st.tuples(EVENTS, EVENTS, EVENTS))
def test_given_parts_share_their_tokens(parts):
    split = Split.given(*map(log, parts))
    for found, events in zip((split.train, split.valid, split.test), parts, strict=True):
        assert told(found) == dict(enumerate(events))
        assert found.user_tokens == split.user_tokens == tuple(sorted({e[0] for part in parts for e in part}))
    together = split.train.union(split.valid, split.test)
    assert len(together.times) == sum(map(len, parts))


def test_sets_of_unlike_tokens_are_no_split():
    parts = [Interactions.from_tokens(*columns) for columns in ((["a"], ["x"]), (["b"], ["x"]), (["a"], ["x"]))]
    with pytest.raises(ValueError, match=r"'valid' must have the user_tokens of the others, got its own: Split\.given"):
        Ranking().prepare(Split(*parts))
    assert Ranking().prepare(Split.given(*parts)).user_tokens == ("a", "b")


def test_what_is_refused():
    with pytest.raises(ValueError, match="'train' must know its tokens"):
        Split.given(toy(), toy(), toy())
    with pytest.raises(ValueError, match="'pairs' must have times: give 'time'"):
        Split.by_time(toy())
    for shares in ((0.8, 0.2), (0.0, 0.5, 0.5), (0.5, -0.1, 0.6), (float("nan"), 1, 1)):
        with pytest.raises(ValueError, match="'shares' must be three"):
            Split.ratio(toy(), shares)


def test_what_came_at_one_time_is_in_the_order_of_rows():
    pairs = Interactions.from_pairs([0, 0, 0], [2, 1, 0], 1, 3, times=[5, 5, 5])
    assert pairs.items[time_order(pairs)].tolist() == [2, 1, 0]
    assert Split.leave_last_out(pairs).test.items.tolist() == [0]


@pytest.mark.parametrize("change", [lambda pairs: pairs.transpose().transpose(), lambda pairs: pairs.to("cpu")])
def test_events_keep_their_times(change):
    pairs = log([("b", "x", 3), ("a", "x", 1), ("b", "x", 2), ("b", "y", 0)])
    assert told(change(pairs)) == told(pairs)
    assert told(pairs.transpose())[1] == ("x", "a", 1)


def test_a_split_is_kept_in_a_file(tmp_path):
    split = Split.leave_last_out(log([(user, item, number) for number, (user, item) in enumerate(["ax", "ay", "bx"])]))
    split.save(tmp_path / "split.safetensors")
    again = Split.load(tmp_path / "split.safetensors")
    assert parts_of(again) == parts_of(split)
    assert again.item_tokens == split.item_tokens
    split.train.save(tmp_path / "train.safetensors")
    assert told(Interactions.load(tmp_path / "train.safetensors")) == told(split.train)
    with pytest.raises(ValueError, match=r"must hold a split, as Split\.save writes it"):
        Split.load(tmp_path / "train.safetensors")
    with pytest.raises(ValueError, match=r"'times' must be a vector of 2, one for each pair, got \[1\]"):
        Interactions.from_pairs([0, 1], [0, 1], 2, 2, times=[1])
