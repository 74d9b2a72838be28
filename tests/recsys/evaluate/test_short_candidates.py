"""Candidates of users who have nearly everything: as many as are left, and no fewer for the others."""

from __future__ import annotations

import torch

from recsys import Interactions
from recsys.evaluate import draw_candidates, leave_one_out
from recsys.models import Tables


def known():
    """User 0 has all but items 5 and 6, user 1 all of 9, user 2 item 0 alone."""
    users = [0] * 7 + [1] * 9 + [2]
    return Interactions.from_pairs(users, [0, 1, 2, 3, 4, 7, 8, *range(9), 0], 3, 9)


def test_they_are_what_is_left():
    found = draw_candidates(known())
    assert [sorted(row.tolist()) for row in found] == [[-1] * 6 + [5, 6], [-1] * 8, list(range(1, 9))]
    assert torch.equal(found, draw_candidates(known()))


def test_of_users_who_have_many_left_nothing_changes():
    users = torch.arange(20)
    pairs = Interactions.from_pairs(users, users, 20, 900)
    assert torch.equal(draw_candidates(pairs), draw_candidates(pairs, 499))


def test_nothing_stands_before_the_target():
    scores = torch.tensor([[0.0, 0, 0, 0, 0, 3, 1, 2, 0], [0.0] * 9, [0.0, 1, 2, 3, 4, 5, 6, 7, 8]])
    model, targets = Tables(scores, torch.eye(9)), torch.tensor([7, 3, 4])
    found = leave_one_out(model, targets, draw_candidates(known()), cutoffs=[1, 2, 4, 5])
    # user 0: item 5 of two stands before; user 1 has no candidates and does not count; user 2: items 5 to 8
    assert [found[f"hit@{n}"] for n in (1, 2, 4, 5)] == [0.0, 0.5, 0.5, 1.0]
