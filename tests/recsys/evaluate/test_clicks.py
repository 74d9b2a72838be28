"""AUC, log loss and calibration against counts of pairs and of bins."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.rows import Field
from recsys.evaluate.clicks import auc, expected_calibration_error, predicted, quality
from recsys.models.clicks import ClickNet


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=12))
def test_auc_counts_pairs(rows):
    scores, y = torch.tensor([float(score) for score, _ in rows]), torch.tensor([click for _, click in rows])
    pairs = [(p - n) for p in scores[y].tolist() for n in scores[~y].tolist()]
    if not pairs:
        with pytest.raises(ValueError, match=f"both clicks and others, got {int(y.sum())} clicks of {len(y)}"):
            auc(scores, y)
        return
    assert auc(scores, y) == pytest.approx(sum(1.0 if d > 0 else 0.5 if d == 0 else 0.0 for d in pairs) / len(pairs))


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_error_is_its_formula(bins):
    torch.manual_seed(0)
    logits, y = 3 * torch.randn(200, dtype=torch.float64), (torch.rand(200) < 0.4).double()
    p, total = logits.sigmoid().tolist(), 0.0
    for b in range(bins):
        inside = [n for n in range(200) if b / bins <= p[n] < (b + 1) / bins]
        if inside:
            predicted_rate = sum(p[n] for n in inside) / len(inside)
            total += len(inside) / 200 * abs(predicted_rate - sum(float(y[n]) for n in inside) / len(inside))
    assert expected_calibration_error(logits, y, bins) == pytest.approx(total)


def test_calibration_at_its_ends():
    logits = torch.tensor([100.0, 100.0, -100.0, -100.0])
    assert expected_calibration_error(logits, torch.tensor([1.0, 1.0, 0.0, 0.0])) == pytest.approx(0)
    assert expected_calibration_error(logits, torch.tensor([0.0, 0.0, 1.0, 1.0])) == pytest.approx(1)
    with pytest.raises(ValueError, match="'bins' must be at least 1, got 0"):
        expected_calibration_error(logits, logits, 0)


def test_quality():
    found = quality(torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.0, 0.0, 0.0]))
    want = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)) + math.log1p(math.exp(0.5))) / 3
    assert found["auc"] == 1
    assert found["log_loss"] == pytest.approx(want)
    assert set(found) == {"auc", "log_loss", "ece"}


def test_predictions_are_made_in_eval_mode_and_in_order():
    torch.manual_seed(0)
    net = ClickNet({"a": Field(5)}, 2, [8], dropout=0.9).train()
    batches = [{"a": torch.tensor([1, 2])}, {"a": torch.tensor([3])}]
    together = predicted(net, [{"a": torch.tensor([1, 2, 3])}])
    torch.testing.assert_close(predicted(net, batches), together)
    assert net.training
    assert not together.requires_grad
