"""BPR against its formula."""

from __future__ import annotations

import math

import pytest
import torch

from recsys.losses import BPR
from recsys.losses.bpr import bpr
from recsys.models import Lists, RecommenderView, Tables


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_bpr_is_its_formula() -> None:
    torch.manual_seed(0)
    positive, negative = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    terms = [
        [softplus(float(n - p)) for p, n in zip(*rows, strict=True)] for rows in zip(positive, negative, strict=True)
    ]
    assert float(bpr(positive, negative)) == pytest.approx(sum(map(sum, terms)))
    assert float(bpr(positive, negative, reduction="mean")) == pytest.approx(sum(map(sum, terms)) / 12)
    for got, want in zip(bpr(positive, negative, reduction="none"), terms, strict=True):
        assert got.tolist() == pytest.approx(want)


def test_bpr_pairs_one_positive_with_several_negatives() -> None:
    torch.manual_seed(0)
    positive, negative = torch.randn(4, 1), torch.randn(4, 3)
    torch.testing.assert_close(bpr(positive, negative), bpr(positive.expand(4, 3), negative))
    mean = bpr(positive, negative, reduction="mean")
    torch.testing.assert_close(mean, bpr(positive.expand(4, 3), negative, reduction="mean"))


def test_bpr_reads_the_scores_of_the_batch() -> None:
    torch.manual_seed(0)
    user, item = torch.randn(3, 2), torch.randn(5, 2)
    users, positives, negatives = torch.tensor([0, 2]), torch.tensor([1, 3]), torch.tensor([4, 0])
    batch = {"positive": Lists(users, positives[:, None]), "negative": Lists(users, negatives[:, None])}
    got = BPR().measure(RecommenderView(Tables(user, item), batch), None, batch)
    margin = (user[users] * (item[positives] - item[negatives])).sum(dim=1)
    torch.testing.assert_close(got, -margin.sigmoid().log().sum())
