"""Negatives of training pairs: their laws, how batches hold several, and what must be refused."""

from __future__ import annotations

import pytest
import torch

from recsys import Interactions
from recsys.data.batches import RankingBatches
from recsys.data.negatives import Negatives
from recsys.data.sampling import Outside
from tests.recsys.laws import as_sets, assert_law

PAIRS = Interactions.from_pairs([1, 1, 2, 3], [3, 7, 5, 3], 5, 8, padding=True)
COUNTS = torch.tensor([5, 1, 2, 3, 0, 5, 6, 7])
DRAWS = 8000


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(7)


def drawn(how, user, item):
    users, items = torch.full((DRAWS,), user), torch.full((DRAWS,), item)
    return torch.bincount(how.sampler(PAIRS).draw(users, items), minlength=8)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
def test_law(distribution, alpha, own):
    how = Negatives(distribution, alpha=alpha, own=own, counts=COUNTS)
    law = torch.ones(8)
    if distribution == "popularity":
        law = torch.where(COUNTS > 0, COUNTS.double().pow(alpha), 0.0)
    law[[0, 3, *([] if own else [7])]] = 0  # padding, the pair's item, and the user's other one
    assert_law(drawn(how, 1, 3), law)


def test_popularity_is_that_of_the_training_events_by_default():
    repeated = Interactions.from_pairs([1, 1, 2, 2, 3], [3, 3, 5, 1, 6], 5, 8, padding=True)
    found = Negatives("popularity").sampler(repeated).draw(torch.full((DRAWS,), 2), torch.full((DRAWS,), 5))
    assert_law(torch.bincount(found, minlength=8), torch.tensor([0, 0, 0, 2, 0, 0, 1, 0]))


def test_a_user_who_has_nearly_all_that_is_popular():
    """Who would be drawn for again and again: the law is kept by lists."""
    counts = torch.tensor([0, 1, 2, 10**9, 0, 10**9, 10**9, 10**9])
    pairs = Interactions.from_pairs([1] * 4, [3, 5, 6, 7], 5, 8, padding=True)
    users = torch.ones(DRAWS, dtype=torch.long)
    found = Negatives("popularity", counts=counts).sampler(pairs).draw(users, users)
    assert_law(torch.bincount(found, minlength=8), torch.tensor([0, 1, 2, 0, 0, 0, 0, 0]))


def test_by_default_draws_are_as_they_always_were():
    users = PAIRS.events()[0]
    torch.manual_seed(3)
    wanted = Outside(PAIRS).one(users)
    torch.manual_seed(3)
    assert torch.equal(Negatives().sampler(PAIRS).draw(*PAIRS.events()), wanted)


def test_several_of_a_pair():
    batches = list(RankingBatches(PAIRS, batch_size=3, negatives=Negatives(count=2)))
    assert [len(batch["users"]) for batch in batches] == [6, 2]
    for batch in batches:
        half = len(batch["users"]) // 2
        assert batch["copies"] == 2
        for name in ("users", "positives"):
            assert torch.equal(batch[name][:half], batch[name][half:])
        for user, item in zip(batch["users"].tolist(), batch["negatives"].tolist(), strict=True):
            assert item not in as_sets(PAIRS)[user]
    first = torch.cat([batch["negatives"][: len(batch["users"]) // 2] for batch in batches])
    second = torch.cat([batch["negatives"][len(batch["users"]) // 2 :] for batch in batches])
    assert not torch.equal(first, second)


def test_one_of_a_pair_is_not_said():
    assert "copies" not in next(iter(RankingBatches(PAIRS)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Negatives("popular"), "'distribution' must be 'uniform' or 'popularity', got 'popular'"),
        (lambda: Negatives(count=0), "'count' must be a number of negatives, at least 1, got 0"),
        (lambda: Negatives("popularity", counts=COUNTS[:3]).sampler(PAIRS), r"'counts' must be \(8,\), of every item"),
        (
            lambda: Negatives("popularity", counts=torch.tensor([0, 0, 0, 1, 0, 0, 0, 1])).sampler(PAIRS),
            "user 1 has all items that can be drawn by popularity; 1 such users",
        ),
        (
            lambda: Negatives("popularity", own=True, counts=torch.tensor([9, 0, 0, 1, 0, 0, 0, 0])).sampler(PAIRS),
            "'counts' must be above 0 for two items at least",
        ),
        (
            lambda: Negatives(own=True).sampler(Interactions.from_pairs([1], [1], 2, 2, padding=True)),
            "an item must be left beside a pair's own to draw, there are 1 in all",
        ),
        (
            lambda: Negatives().sampler(Interactions.from_pairs([1], [1], 2, 2, padding=True)),
            "1 items must be left to draw for every user, user 1 has 0",
        ),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
