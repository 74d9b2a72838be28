"""DCD against its formula."""

from __future__ import annotations

import math

import pytest
import torch

from recsys.losses import DCD, RRD
from recsys.losses.dcd import rank_discrepancy
from tests.recsys.losses.examples import scores


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
