"""Which student to train: the score by loops, and what a search keeps."""

from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd.schemes import dissimilarity_correlation
from tests.core.models import gcn, graph
from tests.losses.example import STUDENT, WIDE_TEACHER


def pearson(a, b):
    n = len(a)
    ma, mb = sum(a) / n, sum(b) / n
    top = sum((x - ma) * (y - mb) for x, y in zip(a, b, strict=True))
    return top / math.sqrt(sum((x - ma) ** 2 for x in a) * sum((y - mb) ** 2 for y in b))


def test_dissimilarity_correlation():
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    s, t = ([1 - pearson(x[i].tolist(), x[j].tolist()) for i, j in pairs] for x in (STUDENT, WIDE_TEACHER))
    assert float(dissimilarity_correlation(STUDENT, WIDE_TEACHER)) == pytest.approx(pearson(s, t))


def test_what_the_correlation_is_blind_to():
    assert float(dissimilarity_correlation(WIDE_TEACHER, 3 * WIDE_TEACHER + 2)) == pytest.approx(1)
    assert dissimilarity_correlation(torch.ones(5, 3), WIDE_TEACHER.float()) == 0
    with pytest.raises(ValueError, match="dissimilarities need 3 rows at least, got 2"):
        dissimilarity_correlation(STUDENT[:2], WIDE_TEACHER[:2])


def candidates():
    return [gcn(2, width=2), gcn(3, width=8), gcn(4, width=16)]


def search(**settings):
    stages: dict[str, int] = {}
    count = lambda row: stages.update({row["stage"]: row["epoch"]})  # noqa: E731
    options = {"candidates": candidates(), "hidden": "convs.0", "early": 5, "log": count, **settings}
    return graphkd.distil("guided_search", None, gcn(1), graph(), **options), stages


def test_a_search_trains_on_the_candidates_of_best_score(monkeypatch):
    scores = iter([0.2, 0.9, 0.5])
    from graphkd.schemes.teachers import guided_search

    monkeypatch.setattr(guided_search, "dissimilarity_correlation", lambda *_: next(scores))
    result, stages = search(keep=2, patience=1000)
    assert stages == {"early-1": 5, "early-2": 5, "early-3": 5, "candidate-2": 200, "candidate-3": 200}
    assert result.model.hidden_channels in (8, 16)


def test_one_that_is_kept_needs_no_validation():
    data = graph()
    del data.val_mask
    found = graphkd.distil(
        "guided_search", None, gcn(1), data, candidates=candidates(), hidden="convs.0", keep=1, epochs=2
    )
    assert found.model.hidden_channels in (2, 8, 16)


def test_paths_of_their_own():
    assert search(paths=["convs.1", "convs.0", "convs.0"], epochs=1)[1]
    with pytest.raises(ValueError, match=r"has no sub-module 'lins\.0'"):
        search(paths=["lins.0"] * 3, epochs=1)


def test_what_is_refused():
    with pytest.raises(ValueError, match="'keep' must be from 1 to the 3 candidates, with a path each, got 4"):
        search(keep=4, epochs=1)
    with pytest.raises(ValueError, match="'guided_search' needs students to choose from: give candidates="):
        graphkd.distil("guided_search", None, gcn(1), graph(), hidden="convs.0")
