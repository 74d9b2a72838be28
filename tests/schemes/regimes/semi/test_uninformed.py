"""Uninformed students where their paper has them: a teacher that knows more rows than its students have ever seen."""

from __future__ import annotations

import torch

import graphkd
from graphkd.tasks import AnomalyDetection
from tests.schemes.regimes.scene import blobs, mean_of, net

METHODS = ("uninformed",)


def area(seed: int, ordinary: bool) -> float:
    """Under the curve, of rows of classes that the students have not seen, or have."""
    data = blobs(seed, rows=300, labels=60)
    teacher = graphkd.distil("none", net(16, 12, 4, seed=seed), None, data, epochs=40, progress=False).model
    odd = data.y > 1  # classes that the teacher alone was shown
    seen = {"x": data.x, "y": odd.long(), "train_mask": ~odd if ordinary else torch.ones_like(odd)}
    options = {"task": AnomalyDetection(), "hidden": "lins.0", "epochs": 60, "seed": seed, "progress": False}
    found = graphkd.distil("uninformed", net(16, 32, 12, seed=seed + 1), teacher, seen, **options)
    return 100 * found.scores["test"]["auc"]


def test_they_fail_on_rows_that_they_have_not_seen(seed_offset):
    def holds(ordinary: bool) -> bool:
        return mean_of(lambda seed: area(seed, ordinary), 2, seed_offset) > 80

    assert holds(True)
    assert not holds(False)  # students that know the teacher everywhere
