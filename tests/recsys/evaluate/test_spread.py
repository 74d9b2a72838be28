"""Metrics of all lists together and GAUC: the formulas again as loops, and what must be refused."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.evaluate import full_ranking
from recsys.evaluate.grouped_auc import user_aucs
from recsys.evaluate.spread import tail_of
from recsys.models import MF
from tests.recsys.laws import as_sets, toy

POPULARITY = torch.arange(40) % 7


def lists_by_hand(scores, seen, users, k):
    ranked = []
    for user in users:
        order = sorted((item for item in range(40) if item not in seen[user]), key=lambda item: -scores[user, item])
        ranked.append(order[:k])
    return ranked


@pytest.mark.parametrize("k", [1, 4, 20])
def test_of_all_lists_together(k):
    torch.manual_seed(0)
    model, seen, relevant = MF(30, 40, 4, std=1.0), toy(), toy(pairs=90, seed=3)
    user, item = model.tables()
    users = relevant.degrees().nonzero().squeeze(1).tolist()
    known = [seen - held for seen, held in zip(as_sets(seen), as_sets(relevant), strict=True)]
    lists = lists_by_hand((user @ item.T).detach(), known, users, k)
    shown = Counter(item for each in lists for item in each)
    total = len(lists) * k
    rising = sorted([shown[item] for item in range(40)])
    tail = sorted((int(count), item) for item, count in enumerate(POPULARITY) if count)[: int(34 * 0.25)]
    wanted = {
        "itemcoverage": len(shown) / 40,
        "averagepopularity": sum(int(POPULARITY[item]) * count for item, count in shown.items()) / total,
        "shannonentropy": -sum(n / total * math.log(n / total) for n in shown.values()) / len(shown),
        "giniindex": sum((2 * place - 41) * count for place, count in enumerate(rising, 1)) / (40 * total),
        "tailpercentage": sum(shown[item] for _, item in tail) / total,
    }
    names = [f"{kind}@{k}" for kind in wanted]
    found = full_ranking(model, relevant, seen, names, popularity=POPULARITY, tail=0.25, block_users=7)
    for name, value in zip(names, wanted.values(), strict=True):
        assert found[name] == pytest.approx(value, rel=1e-12), name


def test_tails():
    counts = torch.tensor([0, 5, 1, 3, 1, 9])
    assert tail_of(counts, 0.5).nonzero().flatten().tolist() == [2, 4]
    assert tail_of(counts, 0.1).nonzero().flatten().tolist() == [2]
    assert tail_of(counts, 3).nonzero().flatten().tolist() == [2, 3, 4]
    assert tail_of(counts, 1).nonzero().flatten().tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="'tail' must be a share up to 1, or a number of events"):
        tail_of(counts, 0)


def test_what_reads_popularity_is_given_it():
    model, seen, relevant = MF(30, 40, 4), toy(), toy(seed=3)
    with pytest.raises(ValueError, match=r"\['averagepopularity@3'\] read how often items were taken"):
        full_ranking(model, relevant, seen, ["recall@3", "AveragePopularity@3"])
    with pytest.raises(ValueError, match=r"'popularity' must be \(40,\), a number of every item, got \(3,\)"):
        full_ranking(model, relevant, seen, ["recall@3"], popularity=torch.ones(3))
    with pytest.raises(ValueError, match="'ties' must be 'against' or 'sorted', got 'for'"):
        full_ranking(model, relevant, seen, ["recall@3"], ties="for")


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["relevant", "other", "out"])), min_size=1, max_size=12),
    st.integers(0, 3),
)
def test_areas_by_hand(row, more):
    """Scores with ties, some of them not ranked; beside rows of other lengths of relevant items."""
    scores = torch.full((2 + more, 12), -math.inf, dtype=torch.float64)
    scores[:, 0] = 1.0
    kinds = [kind for _, kind in row]
    for place, (value, kind) in enumerate(row):
        scores[1, place] = -math.inf if kind == "out" else value
    relevant = [place for place, kind in enumerate(kinds) if kind == "relevant"]
    rows, items = torch.ones(len(relevant), dtype=torch.long), torch.tensor(relevant, dtype=torch.long)
    areas, weights = user_aucs(scores, rows, items)
    pairs = [
        (one > other) + (one == other) / 2
        for one, kind in row
        if kind == "relevant"
        for other, against in row
        if against == "other"
    ]
    assert float(weights.sum()) == (len(relevant) if pairs else 0)
    assert float(areas[1]) == pytest.approx(sum(pairs) / len(pairs) if pairs else 0)


def test_gauc_is_a_mean_weighted_by_relevant_items():
    torch.manual_seed(0)
    model, seen, relevant = MF(30, 40, 4, std=1.0), toy(), toy(pairs=90, seed=3)
    user, item = model.tables()
    scores, total, weight = (user @ item.T).detach(), 0.0, 0
    for u, (held, known) in enumerate(zip(as_sets(relevant), as_sets(seen), strict=True)):
        others = [scores[u, i] for i in range(40) if i not in known | held]
        total += sum(float(scores[u, i] > other) for i in held for other in others) / len(others)
        weight += len(held)
    found = full_ranking(model, relevant, seen, ["GAUC"], block_users=7)
    assert found == {"gauc": pytest.approx(total / weight, rel=1e-12)}


def test_ties_in_the_order_of_the_sort():
    torch.manual_seed(0)
    model, seen, relevant = MF(30, 40, 4, std=1.0), toy(), toy(pairs=90, seed=3)
    names = ["recall@5", "ndcg@5", "map@60"]
    against = full_ranking(model, relevant, seen, names)
    assert full_ranking(model, relevant, seen, names, ties="sorted") == pytest.approx(against)  # there is none
    flat = MF(30, 40, 4, std=0.0)
    assert full_ranking(flat, relevant, seen, names[:1])["recall@5"] == 0
    assert full_ranking(flat, relevant, seen, names[:1], ties="sorted")["recall@5"] > 0
