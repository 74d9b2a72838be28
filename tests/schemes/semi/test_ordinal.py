"""Both ends of a ranking, and a student that makes it better."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from graphkd.schemes import ends, self_trained_scores
from tests.core.models import FEATURES, graph


def test_ends():
    scores = torch.tensor([0.1, 0.9, 0.5, 0.7, 0.2, 0.3, 0.8, 0.4, 0.6, 0.0])
    top, bottom = ends(scores, 0.2, 0.5)
    assert top.tolist() == [1, 6]
    assert bottom.tolist() == [7, 5, 4, 0, 9]


@given(st.integers(2, 40), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_ends_are_apart(count, high, low):
    scores = torch.randn(count, generator=torch.Generator().manual_seed(count))
    top, bottom = ends(scores, high, low)
    rows = torch.cat([top, bottom])
    assert len(rows.unique()) == len(rows)
    assert len(top)
    assert len(bottom)
    assert scores[top].min() >= scores[bottom].max()


@pytest.mark.parametrize(("high", "low", "shape"), [(0.0, 0.5, 5), (0.6, 0.6, 5), (0.1, 0.5, 1)])
def test_wrong_shares(high, low, shape):
    with pytest.raises(ValueError, match="'high' and 'low' must be above 0 and sum to 1 at most"):
        ends(torch.zeros(shape), high, low)


class Score(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        return self.net(x)


def test_a_ranking_gets_better_without_labels():
    """Anomalous rows lie elsewhere; the first detector sees them through much noise."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, FEATURES, generator=generator)
    odd = torch.arange(300) < 20
    x[odd] += 3
    first = odd.float() + 0.6 * torch.randn(300, generator=generator)

    def order(scores):
        """Area under the curve."""
        return float((scores[odd][:, None] > scores[~odd]).float().mean())

    got = self_trained_scores(Score(), first, {"x": x}, epochs=40, rounds=3)
    assert got.shape == (300,)
    assert not got.requires_grad
    assert order(first) < 0.93
    assert order(got) > 0.97


def test_few_rows_at_the_top_are_not_outvoted():
    """One row of twenty above, ten below: an L1 over all of them is smallest at the constant 0."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(200, FEATURES, generator=generator)
    first = x[:, 0] + 3 * torch.randn(200, generator=generator)
    got = self_trained_scores(Score(), first, {"x": x}, epochs=150, rounds=1)
    top, bottom = ends(first)
    assert got[top].mean() > got[bottom].mean() + 0.3


def test_each_round_learns_the_ranking_before(monkeypatch):
    from graphkd.schemes import ordinal

    data, first, seen = graph(), torch.randn(30, generator=torch.Generator().manual_seed(1)), []
    fitted = ordinal.fit

    def watched(task, batch, **options):
        seen.append((batch["top"], batch["bottom"], batch["target"]))
        return fitted(task, batch, **options)

    monkeypatch.setattr(ordinal, "fit", watched)
    student = Score()
    self_trained_scores(student, first, data, rounds=2, high=0.1, low=0.4, epochs=3)
    wants = [first]
    twin = Score()
    wants.append(self_trained_scores(twin, first, data, rounds=1, high=0.1, low=0.4, epochs=3))
    assert "top" not in data
    for (top, bottom, target), scores in zip(seen[:2], wants, strict=True):
        want = ends(scores, 0.1, 0.4)
        assert torch.equal(top, want.top)
        assert torch.equal(bottom, want.bottom)
        assert target[top].eq(1).all()
        assert target[bottom].eq(0).all()
    with pytest.raises(ValueError, match="'rounds' must be at least 1, got 0"):
        self_trained_scores(student, first, data, rounds=0, epochs=1)
