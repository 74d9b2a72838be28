"""RRD against its formula."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from graphkd.kernels import ranking_log_likelihood
from recsys.losses import RRD
from recsys.losses.rrd import rrd
from tests.recsys.losses.examples import scores


def likelihood(interesting: Tensor, uninteresting: Tensor) -> float:
    value = 0.0
    for k in range(len(interesting)):
        rest = sum(math.exp(x) for x in interesting[k:]) + sum(math.exp(x) for x in uninteresting)
        value += float(interesting[k]) - math.log(rest)
    return value


@pytest.mark.parametrize("squash", [False, True])
def test_rrd_is_its_formula(squash: bool) -> None:
    s, v = scores(4, 5), scores(4, 3)
    used = (s.sigmoid(), v.sigmoid()) if squash else (s, v)
    rows = [-likelihood(*row) for row in zip(*used, strict=True)]
    assert rrd(s, v, squash=squash, reduction="none").tolist() == pytest.approx(rows)
    assert float(RRD(squash=squash)((s, v))) == pytest.approx(sum(rows))
    assert float(RRD(squash=squash, reduction="mean")((s, v))) == pytest.approx(sum(rows) / 4)


def test_the_likelihoods_of_all_orders_sum_to_one() -> None:
    s = scores(1, 4)
    nothing = torch.full((1,), -torch.inf, dtype=torch.float64)
    orders = [ranking_log_likelihood(s[:, list(order)], nothing) for order in itertools.permutations(range(4))]
    torch.testing.assert_close(torch.cat(orders).exp().sum(), torch.ones((), dtype=torch.float64))


def test_only_the_order_of_the_uninteresting_is_open() -> None:
    s, v = scores(4, 5), scores(4, 3)
    torch.testing.assert_close(rrd(s, v.flip(1)), rrd(s, v))
    assert not torch.isclose(rrd(s.flip(1), v), rrd(s, v))
    torch.testing.assert_close(rrd(s + 3, v + 3), rrd(s, v))


@pytest.mark.parametrize("columns", [0, 3])
def test_a_list_without_uninteresting_items_is_a_ranking(columns: int) -> None:
    s = scores(4, 5).requires_grad_()
    v = torch.full((4, columns), -300.0, dtype=torch.float64)
    assert float(rrd(s, v).detach()) == pytest.approx(-sum(likelihood(row, []) for row in s.detach()))  # type: ignore[arg-type]
    assert torch.autograd.gradcheck(lambda x: rrd(x, v), s)


def test_the_likelihood_has_a_floor() -> None:
    s = torch.full((1, 2), -30.0, dtype=torch.float64)
    rest = torch.full((1,), -30.0, dtype=torch.float64)
    assert float(ranking_log_likelihood(s, rest, floor=1e-5)) == pytest.approx(2 * (-30 - math.log(1e-5)))
