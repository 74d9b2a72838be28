"""RRD, IR-RRD and DCD against their formulas."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from graphkd.kernels import ranking_log_likelihood
from recsys.losses import DCD, RRD, rank_discrepancy, rrd
from recsys.models import Lists, RecommenderView, Tables


def likelihood(interesting: Tensor, uninteresting: Tensor) -> float:
    value = 0.0
    for k in range(len(interesting)):
        rest = sum(math.exp(x) for x in interesting[k:]) + sum(math.exp(x) for x in uninteresting)
        value += float(interesting[k]) - math.log(rest)
    return value


def scores(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(shape[1]))


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


def test_the_item_side_scores_users() -> None:
    user, item = scores(6, 2), scores(7, 2)
    items = torch.tensor([1, 4])
    liking, indifferent = torch.tensor([[0, 3], [5, 1]]), torch.tensor([[2], [4]])
    batch = {"interesting_users": Lists(liking, items), "uninteresting_users": Lists(indifferent, items)}
    got = RRD.items().measure(RecommenderView(Tables(user, item), batch), None, batch)
    all_scores = item @ user.t()
    torch.testing.assert_close(got, rrd(all_scores[items].gather(1, liking), all_scores[items].gather(1, indifferent)))


def test_the_likelihood_has_a_floor() -> None:
    s = torch.full((1, 2), -30.0, dtype=torch.float64)
    rest = torch.full((1,), -30.0, dtype=torch.float64)
    assert float(ranking_log_likelihood(s, rest, floor=1e-5)) == pytest.approx(2 * (-30 - math.log(1e-5)))


def test_rank_discrepancy_is_its_formula() -> None:
    s = scores(3, 6)
    got = rank_discrepancy(s, sharpness=0.2)
    for u in range(3):
        for position in range(6):
            rank = sum(float(x) > float(s[u, position]) for x in s[u])
            assert int(got.rank[u, position]) == rank
            assert float(got.under[u, position]) == pytest.approx(math.tanh(max(0.2 * (rank - position), 0)))
            assert float(got.over[u, position]) == pytest.approx(math.tanh(max(0.2 * (position - rank), 0)))


def test_rank_discrepancy_of_agreement_is_none() -> None:
    got = rank_discrepancy(torch.tensor([[3.0, 2.0, 2.0, 1.0]]))  # equal scores in the teacher's order
    assert got.under.abs().max() == got.over.abs().max() == 0
    assert rank_discrepancy(torch.zeros(2, 4), floor=1e-5).under.min() > 0


def test_dcd_is_rrd_on_other_lists() -> None:
    s, v = scores(4, 5), scores(4, 3)
    torch.testing.assert_close(DCD()((s, v)), RRD()((s, v)))
    assert DCD().on == ("underestimated", "overestimated")
    assert DCD.items().on == ("underestimated_users", "overestimated_users")
