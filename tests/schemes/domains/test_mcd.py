"""Maximum cluster difference: the formulas by loops, and what adapts."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd.schemes import cluster_difference, mixed_pseudo_labels
from tests.losses.example import NODES, STUDENT, TEACHER, dot, norm, softmax
from tests.methods import scene


@pytest.mark.parametrize("classes", [2, 3])
def test_cluster_difference(classes):
    teacher = TEACHER[:, :classes]
    members = [[i for i in NODES if int(teacher[i].argmax()) == c] for c in range(classes)]
    means = [[sum(float(STUDENT[i, d]) for i in rows) / max(len(rows), 1) for d in range(3)] for rows in members]
    for i, got in enumerate(cluster_difference(STUDENT, teacher).tolist()):
        cosines = [dot(mean, STUDENT[i]) / (norm(mean) * norm(STUDENT[i])) if any(mean) else 0.0 for mean in means]
        first, second = sorted(cosines, reverse=True)[:2]
        assert got == pytest.approx(first - second, rel=1e-10)


def test_clusters_are_two_at_least():
    with pytest.raises(ValueError, match="'teacher' must have 2 classes at least, got 1"):
        cluster_difference(STUDENT, TEACHER[:, :1])


@pytest.mark.parametrize("mix", [0.3, 1.0])
def test_mixed_pseudo_labels(mix):
    got = mixed_pseudo_labels(TEACHER, 5.0, mix)
    for i in NODES:
        p, first = softmax(TEACHER[i], 5.0), int(TEACHER[i].argmax())
        want = [(1 - mix) * (c == first) + mix * p[c] for c in range(3)]
        assert softmax(got[i], 5.0) == pytest.approx(want, rel=1e-12)


def test_a_student_of_the_target_comes_near_the_teacher_there():
    """Against the same without steps: nothing of the target's labels is read."""
    data, teacher = scene.graph(), scene.trained(1)
    domains = torch.arange(scene.NODES) % 2
    run = lambda epochs: graphkd.distil(  # noqa: E731
        "mcd", scene.gcn(5, 12), teacher, data, hidden="convs.0", domains=domains, epochs=epochs, progress=False
    )
    with torch.no_grad():
        taught = teacher(data.x, data.edge_index)[domains > 0].argmax(dim=1)
        agree = [
            (run(epochs).model(data.x, data.edge_index)[domains > 0].argmax(dim=1) == taught).double().mean()
            for epochs in (0, 60)
        ]
    assert agree[1] > max(float(agree[0]), 0.8)


def test_a_share_is_a_share():
    with pytest.raises(ValueError, match="'share' must be above 0 and at most 1, got 0"):
        graphkd.distil(
            "mcd", scene.gcn(5, 12), scene.trained(1), scene.graph(), hidden="convs.0",
            domains=torch.arange(scene.NODES) % 2, share=0,
        )  # fmt: skip
