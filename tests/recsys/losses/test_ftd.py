"""FTD against an n x n matrix of cosines."""

from __future__ import annotations

import pytest
import torch

from recsys.losses import FTD
from recsys.losses.ftd import ftd
from tests.recsys.losses.examples import cosines, entities, features, triplets


@pytest.mark.parametrize("rows", [2, 5, 200])
@pytest.mark.parametrize("teacher_term", [True, False])
def test_ftd_is_its_formula_by_either_form(rows: int, teacher_term: bool) -> None:
    s, t = features(rows)
    want = (cosines(s, s) - cosines(t, t)).square().sum()
    got = ftd(s, t, teacher_term=teacher_term)
    constant = 0 if teacher_term else cosines(t, t).square().sum()
    torch.testing.assert_close(got + constant, want)
    torch.testing.assert_close(*(torch.autograd.grad(x, s)[0] for x in (got, want)))


@pytest.mark.parametrize("rows", [3, 40])
def test_ftd_gradcheck(rows: int) -> None:
    s, t = features(rows, 2, 3)
    assert torch.autograd.gradcheck(lambda x: ftd(x, t), s)


def test_ftd_sees_no_rotation_and_no_scale() -> None:
    s, t = features(30)
    q = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    torch.testing.assert_close(ftd(s, 3 * t @ q), ftd(s, t))
    assert float(ftd(t, t @ q)) == pytest.approx(0, abs=1e-9)


def test_ftd_of_zero_rows_is_finite() -> None:
    s = torch.zeros(4, 2, requires_grad=True)
    loss = ftd(s, torch.randn(4, 3))
    loss.backward()
    assert loss.isfinite()
    assert s.grad is not None
    assert s.grad.isfinite().all()
    assert float(ftd(torch.zeros(0, 2), torch.zeros(0, 3))) == 0


def test_ftd_compares_the_distinct_users_and_items_of_the_batch() -> None:
    facts = triplets()
    want = ftd(torch.cat(entities(facts, "student")), torch.cat(entities(facts, "teacher")))
    torch.testing.assert_close(FTD()(**facts), want)
