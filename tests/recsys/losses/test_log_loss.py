"""The log loss against its formula."""

from __future__ import annotations

import pytest

from recsys.losses import LogLoss
from recsys.losses.log_loss import log_loss
from tests.recsys.losses.examples import log_sigma, scores


def test_log_loss_is_its_formula() -> None:
    positive, negative = scores(4, 2), scores(4, 3)
    rows = [-sum(map(log_sigma, p)) - sum(map(log_sigma, -n)) for p, n in zip(positive, negative, strict=True)]
    assert float(log_loss(positive, negative)) == pytest.approx(sum(rows) / 4)
    assert float(LogLoss(reduction="sum")((positive, negative))) == pytest.approx(sum(rows))
