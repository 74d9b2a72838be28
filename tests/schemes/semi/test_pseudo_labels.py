"""Pseudo-labels: which rows get which, by loops."""

from __future__ import annotations

import pytest
import torch

from graphkd.schemes import cluster_difference, mixed_pseudo_labels, select_pseudo_labels
from tests.kernels.graphs import normal
from tests.losses.example import NODES, STUDENT, TEACHER, dot, norm, softmax

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


def test_cluster_difference():
    teacher = TEACHER[:, :2]
    members = [[i for i in NODES if int(teacher[i].argmax()) == c] for c in range(2)]
    assert all(members)
    means = [[sum(float(STUDENT[i, d]) for i in rows) / len(rows) for d in range(3)] for rows in members]
    for i, got in enumerate(cluster_difference(STUDENT, teacher).tolist()):
        cosines = [dot(mean, STUDENT[i]) / (norm(mean) * norm(STUDENT[i])) for mean in means]
        assert got == pytest.approx(abs(cosines[1] - cosines[0]), rel=1e-10)


def test_clusters_are_two():
    with pytest.raises(ValueError, match="'teacher' must have 2 classes, got 3"):
        cluster_difference(STUDENT, TEACHER)


@pytest.mark.parametrize("mix", [0.3, 1.0])
def test_mixed_pseudo_labels(mix):
    got = mixed_pseudo_labels(TEACHER, 5.0, mix)
    for i in NODES:
        p, first = softmax(TEACHER[i], 5.0), int(TEACHER[i].argmax())
        want = [(1 - mix) * (c == first) + mix * p[c] for c in range(3)]
        assert softmax(got[i], 5.0) == pytest.approx(want, rel=1e-12)
