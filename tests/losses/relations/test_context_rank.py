"""The order of a context: the formula, one pair at a time, and its gradient."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from graphkd.losses.relations import context_rank as module
from graphkd.losses.relations.context_rank import context_rank

ROWS, WIDTH, MARGIN = 4, 6, 0.1


def scores(seed: int) -> torch.Tensor:
    return torch.rand(ROWS, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow(student, teacher):
    values = []
    for row in range(ROWS):
        for a in range(WIDTH):
            for b in range(a + 1, WIDTH):
                apart = float(teacher[row, a] - teacher[row, b])
                order = 1 if apart > MARGIN else -1 if apart < -MARGIN else 0
                values.append((MARGIN - order * (student[row, a] - student[row, b])).clamp_min(0))
    return torch.stack(values).mean()


@pytest.mark.parametrize("entries", [1 << 22, WIDTH * WIDTH])
def test_the_formula(monkeypatch, entries):
    """In one block and row by row."""
    monkeypatch.setattr(module, "ENTRIES", entries)
    one, other = (scores(0).requires_grad_() for _ in range(2))
    got, want = context_rank(one, scores(1), MARGIN), slow(other, scores(1))
    torch.testing.assert_close(got, want, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.autograd.grad(got, one), torch.autograd.grad(want, other))
    assert gradcheck(lambda s: context_rank(s, scores(1), MARGIN), one)


def test_ties_cost_the_margin_and_teach_nothing():
    student = scores(0).requires_grad_()
    value = context_rank(student, torch.full((ROWS, WIDTH), 0.5, dtype=torch.float64), MARGIN)
    assert float(value.detach()) == pytest.approx(MARGIN)
    assert not torch.autograd.grad(value, student)[0].any()


def test_the_teachers_order_by_its_own_distances_costs_nothing():
    teacher = torch.arange(WIDTH).double().expand(ROWS, -1)
    assert context_rank(teacher, teacher, MARGIN) == 0


def test_no_context_is_nothing():
    assert context_rank(torch.rand(3, 1), torch.rand(3, 1)) == 0


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="'teacher' must be as wide as 'student'"):
        context_rank(scores(0), scores(1)[:, :3])
