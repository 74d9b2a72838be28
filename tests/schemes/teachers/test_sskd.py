"""SSKD: which rows are passed on, the sum by loops, and the two stages."""

from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd import Cached
from graphkd.core.batches import changed
from graphkd.losses import cross_entropy
from graphkd.schemes import SSKD, TeacherHead, mask_features, reliable_rows, sskd
from graphkd.schemes.teachers.sskd import head, own_object, relations
from tests.core.models import gcn, graph
from tests.kernels.graphs import normal
from tests.losses.example import softmax

S, T = (2 * normal(12, 4, dtype=torch.float64, seed=seed) for seed in (1, 2))
S_FEATURES, T_FEATURES = (normal(12, 5, dtype=torch.float64, seed=seed) for seed in (3, 4))
Y = torch.tensor([2, 0, 3])


def test_reliable_rows():
    scores = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 3.0, 2.0], [1.0, 2.0, 3.0], [3.0, 1.0, 2.0]])
    answers = torch.tensor([0, 2, 2, 0, 2])  # at places 0, 2, 1, 2, 1
    for ratio, want in ((0.0, [0]), (0.25, [0, 2]), (0.5, [0, 2, 4]), (0.75, [0, 1, 2, 4]), (1.0, [0, 1, 2, 3, 4])):
        assert reliable_rows(scores, answers, ratio).tolist() == want


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def divergence(s, t, temperature, rows):
    total = 0.0
    for i in rows:
        p, q = softmax(t[i], temperature), softmax(s[i], temperature)
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return temperature**2 * total / len(rows)


def test_sskd():
    ratios = {"relation_ratio": 0.6, "changed_ratio": 0.5}
    settings = {"weights": (0.3, 0.9, 5.0, 2.0), "changed_temperature": 2.0, **ratios}
    plain, changed = [0, 4, 8], [i for i in range(12) if i % 4]
    tables = [[[cosine(x[i], x[j]) for j in plain] for i in changed] for x in (S_FEATURES, T_FEATURES)]
    own = [i // 4 for i in changed]
    kept = reliable_rows(torch.tensor(tables[1]), torch.tensor(own), 0.6).tolist()
    sure = reliable_rows(T[changed], Y[own], 0.5).tolist()
    want = 0.3 * float(cross_entropy(S[plain], Y)) + 0.9 * divergence(S, T, 4.0, plain)
    want += 5.0 * divergence(*(torch.tensor(table) for table in tables), 0.5, kept)
    want += 2.0 * divergence(S[changed], T[changed], 2.0, sure)
    assert 0 < len(sure) < 9
    assert float(sskd((S, S_FEATURES), (T, T_FEATURES), Y, **settings)) == pytest.approx(want, rel=1e-6)
    assert torch.equal(own_object(3), torch.tensor(own))
    assert relations(S_FEATURES).shape == (9, 3)


def test_rows_come_in_groups():
    with pytest.raises(ValueError, match="'student' must have 4 rows for each of 2 objects, got 12"):
        sskd((S, S_FEATURES), (T, T_FEATURES), Y[:2])


def test_the_head_learns_first_then_the_student():
    data, student, teacher = graph(), gcn(1), gcn(2, width=6)
    heads = head(8), head(6)
    learner = TeacherHead(teacher, "convs.0", heads[1], where="train_mask")
    torch.manual_seed(0)
    learner(data).loss.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in heads[1].parameters())
    learner.close()
    task = SSKD(student, teacher, ("convs.0", "convs.0"), heads, where="train_mask")
    task.zero_grad()
    step = task(data)
    step.loss.backward()
    assert list(step.terms) == ["student"]
    assert all(p.grad is None for p in (*heads[1].parameters(), *teacher.parameters()))
    assert all(p.grad is not None for p in (*student.parameters(), *heads[0].parameters()))
    assert not any(name.startswith("_teacher") for name in task.state_dict())
    assert task.double()._teacher.model.convs[0].lin.weight.dtype == torch.float64
    task.close()


def test_as_many_views_as_changes_and_one():
    data = graph()
    task = SSKD(
        gcn(1), gcn(2), ("convs.0", "convs.0"), (head(8), head(8)), where="train_mask", changes=(mask_features,)
    )
    assert task(data).loss.isfinite()


def test_a_batch_without_labelled_rows():
    data, heads = graph(), (head(8), head(8))
    bare = changed(data, train_mask=torch.zeros_like(data.train_mask))
    task = SSKD(gcn(1), gcn(2), ("convs.0", "convs.0"), heads, where="train_mask")
    for trainable in (task, TeacherHead(gcn(2), "convs.0", head(8), where="train_mask")):
        step = trainable(bare)
        step.loss.backward()
        assert step.loss == 0


def test_both_stages_by_one_call():
    data, teacher, seen = graph(), gcn(2), []
    graphkd.distil("sskd", gcn(1), teacher, data, hidden="convs.0", patience=200, head_epochs=3, log=seen.append)
    assert [row["stage"] for row in seen].count("head") == 3
    student = [row for row in seen if row["stage"] == "student"]
    assert len(student) == 200
    assert student[-1]["student"] < student[0]["student"]
    assert not teacher.convs[0]._forward_hooks


def test_a_cached_teacher_sees_the_changed_views():
    """It is asked anew: the same weights come out as from the module."""
    data = graph()
    one, other = (
        graphkd.distil("sskd", gcn(1), teacher, data, hidden="convs.0", epochs=3).model
        for teacher in (gcn(2), Cached(gcn(2), data))
    )
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


def test_edges_are_needed():
    data = graph()
    del data.edge_index
    with pytest.raises(ValueError, match="'sskd' needs edges, as 'edge_index'"):
        graphkd.distil("sskd", gcn(1), gcn(2), data, hidden="convs.0")
