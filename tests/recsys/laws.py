"""What the tests share: the golden laws, brute force, the chi-square test, and a model without tables."""

from __future__ import annotations

from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from recsys import Interactions
from recsys.models import Recommender

GOLDEN = Path(__file__).parent.parent / "golden"


LEAST_P = 1e-4  # one false alarm in 10,000 draws of the seed


def golden(name):
    """The arrays of a case, from the folder of samplers or of values."""
    folder = "samplers" if name.startswith("sampler_") else "recsys"
    with np.load(GOLDEN / folder / f"{name}.a.npz", allow_pickle=False) as arrays:
        return {key: torch.from_numpy(np.array(arrays[key])) for key in arrays.files}


def assert_law(counts, probabilities):
    """Counts of exclusive outcomes follow a law; nothing impossible happened."""
    counts, probabilities = (np.asarray(each, dtype=np.float64).ravel() for each in (counts, probabilities))
    assert counts[probabilities == 0].sum() == 0
    likely = probabilities > 0
    expected = probabilities[likely] / probabilities[likely].sum() * counts.sum()
    assert counts.sum() > 0
    assert expected.min() >= 4, "too few draws for a chi-square test"
    p = stats.chisquare(counts[likely], expected).pvalue if likely.sum() > 1 else 1.0
    assert p > LEAST_P, f"p = {p:.1e}"


def subset_law(weights, k):
    """Probability of every set of k positions under successive sampling, by summing over the orders of drawing."""
    weights = np.asarray(weights, dtype=np.float64)
    law = {}
    for subset in combinations(range(len(weights)), k):
        law[subset] = 0.0
        for order in permutations(subset):
            left, probability = weights.sum(), 1.0
            for position in order:
                probability *= weights[position] / left
                left -= weights[position]
            law[subset] += probability
    return law


def inclusion(law, size):
    """Probability of every position to be in the set."""
    return np.array([sum(p for subset, p in law.items() if position in subset) for position in range(size)])


def count_subsets(drawn, law):
    """How often each set of the law is a row of (R, k), which must be ascending without repeats."""
    assert (drawn[:, 1:] > drawn[:, :-1]).all()
    rows, counts = torch.unique(drawn, dim=0, return_counts=True)
    found = {tuple(row): count for row, count in zip(rows.tolist(), counts.tolist(), strict=True)}
    assert set(found) <= set(law)
    return [found.get(subset, 0) for subset in law]


def toy(num_users=30, num_items=40, pairs=200, seed=0, padding=False):
    """Random pairs."""
    generator = torch.Generator().manual_seed(seed)
    users, items = (torch.randint(int(padding), size, (pairs,), generator=generator) for size in (num_users, num_items))
    return Interactions.from_pairs(users, items, num_users, num_items, padding=padding)


def as_sets(pairs):
    """The items of every user."""
    sets = [set() for _ in range(pairs.num_users)]
    for user, item in zip(*(each.tolist() for each in pairs.pairs()), strict=True):
        sets[user].add(item)
    return sets


class Pairwise(Recommender):
    """A model without tables."""

    has_tables = False

    def __init__(self, num_users=6, num_items=9):
        super().__init__(num_users, num_items)
        self.user, self.item = torch.nn.Embedding(num_users, 3), torch.nn.Embedding(num_items, 3)
        self.dropout = torch.nn.Dropout(0.5)

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        return self.dropout(self.user(users) * self.item(items)).sum(dim=-1).tanh()
