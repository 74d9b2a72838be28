"""Both ends of a ranking, and a student that makes it better."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import graphkd
from graphkd.schemes import ends, neighbour_distance
from graphkd.tasks import AnomalyDetection, area_under_curve
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


def test_neighbour_distance():
    data = graph()
    got = neighbour_distance(data.x, data.edge_index)
    for node in range(30):
        near = data.edge_index[0][data.edge_index[1] == node]
        want = float((data.x[node] - data.x[near].mean(dim=0)).norm()) if len(near) else 0.0
        assert float(got[node]) == pytest.approx(want, rel=1e-5)


# ------------------------------------------------------------- the method
class Score(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        return self.net(x)


def found(data, scores=None, **settings):
    """The result, and the student's scores of all rows."""
    options = {"task": AnomalyDetection(), "progress": False, **settings}
    result = graphkd.distil("ordinal", Score(), None, data, scores=scores, **options)
    with torch.no_grad():
        return result, result.model(data["x"])[:, 0]


def noisy_scene(rows=300, odd=20, noise=0.6):
    """Anomalous rows lie elsewhere; the first detector sees them through much noise."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, FEATURES, generator=generator)
    y = (torch.arange(rows) < odd).long()
    x[y == 1] += 3
    return {"x": x, "y": y}, y.float() + noise * torch.randn(rows, generator=generator)


def test_a_ranking_gets_better_without_labels():
    data, first = noisy_scene()
    result, scores = found(data, first, epochs=40, rounds=3)
    assert area_under_curve(first, data["y"]) < 0.93
    assert result.scores == {"test": {"auc": area_under_curve(scores, data["y"])}}
    assert result.scores["test"]["auc"] > 0.97
    unlabelled, scores_without = found({"x": data["x"]}, first, epochs=40, rounds=3)
    assert unlabelled.scores == {}
    assert torch.equal(scores, scores_without)


def test_a_first_ranking_of_its_own():
    """By the neighbours where there are edges, else by all rows."""
    data, _ = noisy_scene()
    result, _ = found(data, epochs=40, rounds=2)
    assert result.scores["test"]["auc"] > 0.9
    edges = torch.stack([torch.arange(299), torch.arange(1, 300)])
    first = neighbour_distance(data["x"], edges)
    by_edges, _ = found({**data, "edge_index": edges}, epochs=5, rounds=2)
    given, _ = found({**data, "edge_index": edges}, first, epochs=5, rounds=2)
    assert torch.equal(by_edges.model.net[0].weight, given.model.net[0].weight)


def test_few_rows_at_the_top_are_not_outvoted():
    """One row of twenty above, ten below: an L1 over all of them is smallest at the constant 0."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(200, FEATURES, generator=generator)
    first = x[:, 0] + 3 * torch.randn(200, generator=generator)
    _, scores = found({"x": x}, first, epochs=150, rounds=1)
    top, bottom = ends(first)
    assert scores[top].mean() > scores[bottom].mean() + 0.3


def test_each_round_learns_the_ranking_before():
    """Two rounds are one, and one more that begins with its weights and its scores."""
    data, first = noisy_scene(rows=60, odd=4)
    options = {"high": 0.1, "low": 0.4, "epochs": 3}
    both, _ = found(data, first, rounds=2, **options)
    one, scores = found(data, first, rounds=1, **options)
    assert list(dict.fromkeys(report["stage"] for report in both.history)) == ["round-1", "round-2"]
    task = {"task": AnomalyDetection(), "progress": False}
    next_one = graphkd.distil("ordinal", one.model, None, data, scores=scores, rounds=1, **options, **task)
    assert torch.equal(both.model.net[0].weight, next_one.model.net[0].weight)


def test_wrong_arguments():
    data, first = noisy_scene()
    with pytest.raises(ValueError, match="'rounds' must be at least 1, got 0"):
        found(data, first, rounds=0)
    with pytest.raises(ValueError, match=r"'scores' must hold one for each of 300 nodes, got shape \(5,\)"):
        found(data, first[:5])
    wide = nn.Sequential(nn.Linear(FEATURES, 2))
    wide.forward = lambda x: wide[0](x)
    with pytest.raises(ValueError, match=r"'teacher' must be as wide as 'student' \(2\), got 1"):
        graphkd.distil("ordinal", wide, None, data, scores=first, epochs=1, task=AnomalyDetection())
