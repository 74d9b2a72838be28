"""Users who have every item train nothing, and end no run."""

from __future__ import annotations

import logging

import torch

import recsys
from recsys import Interactions, Split
from recsys.data.full_users import without_full_users
from recsys.models import MF
from tests.recsys.laws import as_sets, toy


def test_their_pairs_are_left_out_and_the_log_says_whose(caplog):
    pairs = Interactions.from_tokens(["bot", "ann", "bot", "bot", "bob"], ["a", "a", "b", "b", "b"], [5, 4, 3, 2, 1])
    with caplog.at_level(logging.WARNING):
        found = without_full_users(pairs)
    assert as_sets(found) == [{0}, {1}, set()]
    assert (found.rows.tolist(), found.times.tolist(), found.user_tokens) == ([1, 4], [4, 1], ("ann", "bob", "bot"))
    assert "users who have every item train nothing here: 'bot'" in caplog.text


def test_others_stay_as_they_are():
    for pairs in (toy(), toy(padding=True)):
        assert without_full_users(pairs) is pairs
    everyone = Interactions.from_pairs([0, 0, 1, 1], [0, 1, 0, 1], 3, 2)
    assert without_full_users(everyone) is everyone
    padded = Interactions.from_pairs([1, 1, 2], [1, 2, 1], 3, 3, padding=True)
    assert without_full_users(padded).degrees().tolist() == [0, 0, 1]


def test_a_run_does_not_end():
    train = Interactions.from_pairs([0] * 40 + [1, 2, 3], [*range(40), 1, 2, 3], 30, 40)
    torch.manual_seed(0)
    split = Split(train, toy(seed=1), toy(seed=2))
    result = recsys.distil("rrd", MF(30, 40, 4), MF(30, 40, 8), split, epochs=1, progress=False)
    assert result.scores["test"]["ndcg@10"] > 0
