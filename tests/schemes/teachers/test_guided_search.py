"""Which student to train: the score by loops, what a search keeps, and who teaches in an oracle."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd import Frozen
from graphkd.losses import kl
from graphkd.schemes import dissimilarity_correlation, guided_search, oracle_kd, oracle_student
from tests.core.models import gcn, graph
from tests.losses.example import STUDENT, WIDE_TEACHER


def pearson(a, b):
    n = len(a)
    ma, mb = sum(a) / n, sum(b) / n
    top = sum((x - ma) * (y - mb) for x, y in zip(a, b, strict=True))
    return top / math.sqrt(sum((x - ma) ** 2 for x in a) * sum((y - mb) ** 2 for y in b))


def test_dissimilarity_correlation():
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    s, t = ([1 - pearson(x[i].tolist(), x[j].tolist()) for i, j in pairs] for x in (STUDENT, WIDE_TEACHER))
    assert float(dissimilarity_correlation(STUDENT, WIDE_TEACHER)) == pytest.approx(pearson(s, t))


def test_what_the_correlation_is_blind_to():
    assert float(dissimilarity_correlation(WIDE_TEACHER, 3 * WIDE_TEACHER + 2)) == pytest.approx(1)
    assert dissimilarity_correlation(torch.ones(5, 3), WIDE_TEACHER.float()) == 0
    with pytest.raises(ValueError, match="dissimilarities need 3 rows at least, got 2"):
        dissimilarity_correlation(STUDENT[:2], WIDE_TEACHER[:2])


def test_a_search_trains_on_the_candidates_of_best_score():
    data = graph()
    candidates = [gcn(2, width=2), gcn(3, width=8), gcn(4, width=16)]
    asked = []

    def metric(model):
        asked.append(model)
        return float((model(data.x, data.edge_index).argmax(1) == data.y)[data.val_mask].float().mean())

    found = guided_search(
        candidates,
        gcn(1),
        data,
        hidden=(["convs.0"] * 3, "convs.0"),
        metric=metric,
        probes=torch.arange(20),
        early=5,
        keep=2,
        epochs=5,
    )
    best = sorted(range(3), key=lambda place: -found.scores[place])[:2]
    assert set(found.accuracies) == set(best)
    assert {id(model) for model in asked} == {id(candidates[place]) for place in best}
    assert found.student is candidates[max(best, key=lambda place: found.accuracies[place])]
    with pytest.raises(ValueError, match="'keep' must be from 1 to the 3 candidates, with a path each, got 4"):
        guided_search(
            candidates, gcn(1), data, hidden=(["a"] * 3, "b"), metric=metric, probes=torch.arange(3), keep=4, epochs=1
        )


def test_an_oracle_teaches_as_its_loss_says(monkeypatch):
    from graphkd.schemes import architecture

    data, student, teachers = graph(), gcn(1), [gcn(2), gcn(3)]
    steps = []

    def once(task, batch, **_):
        steps.append(task(batch))
        return task.student

    monkeypatch.setattr(architecture, "fit", once)
    oracle_student(student, teachers, data, weight=0.7, epochs=1)
    rows = data.train_mask
    logits = student(data.x, data.edge_index)[rows]
    each = torch.stack([Frozen(teacher)(data)["logits"][rows] for teacher in teachers])
    want = oracle_kd(logits, each, data.y[rows], 3.0, weight=0.7)
    torch.testing.assert_close(steps[0].loss, want)
    assert steps[0].loss.isfinite()


def test_an_oracle_s_student_is_trained():
    data, teachers = graph(), [gcn(2), gcn(3)]
    student = oracle_student(gcn(1), teachers, data, epochs=20)
    logits = student(data.x, data.edge_index)
    assert kl(logits, logits) == 0
    assert (logits.argmax(1) == data.y)[data.train_mask].float().mean() > 0.6
