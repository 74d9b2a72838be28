"""KDCRec's alternating schedule."""

from __future__ import annotations

import pytest
import torch

from graphkd import Distiller, fit
from recsys.data.ratings import PairBatches
from recsys.losses import Decay, RatingError
from recsys.methods.uniform._alternating import Alternating
from recsys.models.clicks import show
from tests.recsys.toy_ratings import mf, ratings


def test_alternating_trains_three_epochs_of_one_side_and_one_of_the_other():
    student = mf()
    task = Alternating(Distiller(student, None, RatingError() + 1e-3 * Decay(), call=show), "user")
    batches, changed = PairBatches(ratings(60), batch_size=20), []
    kept = {}

    def log(_):
        now = {side: [p.clone() for m in modules for p in m.parameters()] for side, modules in student.sides().items()}
        if kept:
            moved = [s for s in now if not all(torch.equal(*both) for both in zip(now[s], kept[s], strict=True))]
            changed.append(moved)
        kept.update(now)

    fit(task, batches, epochs=6, log=log, progress=False)
    assert changed == [["user"], ["user"], ["item"], ["user"], ["user"]]
    assert all(p.requires_grad for p in student.parameters())
    with pytest.raises(ValueError, match="'first' must be one of"):
        Alternating(task.distiller, "both")
    with pytest.raises(ValueError, match="'passes' must be at least 1, got 0"):
        Alternating(task.distiller, "user", 0)
