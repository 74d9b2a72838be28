"""Pseudo-labels: which rows get which, by loops."""

from __future__ import annotations

import pytest
import torch

from graphkd.schemes import select_pseudo_labels
from tests.kernels.graphs import normal
from tests.losses.example import softmax

LOGITS = 2 * normal(12, 3, dtype=torch.float64, seed=4)


@pytest.mark.parametrize("per_class", [None, 2, 7])
@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_select_pseudo_labels(per_class, threshold):
    answers = [softmax(row) for row in LOGITS]
    want, labels = [], []
    for c in range(3):
        of_class = [i for i in range(12) if max(answers[i]) == answers[i][c] and answers[i][c] >= threshold]
        of_class.sort(key=lambda i: -max(answers[i]))
        quota = len(of_class) if per_class is None else per_class
        want += [of_class[n % len(of_class)] for n in range(quota if of_class else 0)]
        labels += [c] * (quota if of_class else 0)
    rows, found, confidence = select_pseudo_labels(LOGITS, threshold, per_class)
    assert rows.tolist() == want
    assert found.tolist() == labels
    assert confidence.tolist() == pytest.approx([max(answer) for answer in answers])


def test_nobody_is_sure():
    rows, labels, _ = select_pseudo_labels(LOGITS, 1.1, 4)
    assert rows.shape == labels.shape == (0,)
    assert rows.dtype == torch.int64
