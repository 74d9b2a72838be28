"""SSKD: which rows are passed on, the sum by loops, and the two stages."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from graphkd.losses import cross_entropy
from graphkd.schemes import SSKD, SSKDKnobs, reliable_rows, self_supervised, sskd
from graphkd.schemes.self_supervised import own_object, relations
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
    knobs = SSKDKnobs((0.3, 0.9, 5.0, 2.0), 4.0, 0.5, 2.0, 0.6, 0.5)
    plain, changed = [0, 4, 8], [i for i in range(12) if i % 4]
    tables = [[[cosine(x[i], x[j]) for j in plain] for i in changed] for x in (S_FEATURES, T_FEATURES)]
    own = [i // 4 for i in changed]
    kept = reliable_rows(torch.tensor(tables[1]), torch.tensor(own), 0.6).tolist()
    sure = reliable_rows(T[changed], Y[own], 0.5).tolist()
    want = 0.3 * float(cross_entropy(S[plain], Y)) + 0.9 * divergence(S, T, 4.0, plain)
    want += 5.0 * divergence(*(torch.tensor(table) for table in tables), 0.5, kept)
    want += 2.0 * divergence(S[changed], T[changed], 2.0, sure)
    assert 0 < len(sure) < 9
    assert float(sskd((S, S_FEATURES), (T, T_FEATURES), Y, knobs)) == pytest.approx(want, rel=1e-6)
    assert torch.equal(own_object(3), torch.tensor(own))
    assert relations(S_FEATURES).shape == (9, 3)


def test_rows_come_in_groups():
    with pytest.raises(ValueError, match="'student' must have 4 rows for each of 2 objects, got 12"):
        sskd((S, S_FEATURES), (T, T_FEATURES), Y[:2], SSKDKnobs())
    with pytest.raises(ValueError, match="'changes' must be 3, a changed view each, got 1"):
        SSKD(gcn(1), gcn(2), ("convs.0", "convs.0"), (8, 8), changes=(copy.copy,), knobs=SSKDKnobs())


def test_the_head_learns_first_then_the_student():
    data, student, teacher = graph(), gcn(1), gcn(2, width=6)
    task = SSKD(student, teacher, ("convs.0", "convs.0"), (8, 6))
    torch.manual_seed(0)
    task(data).loss.backward()
    assert all(p.grad is None for p in (*student.parameters(), *teacher.parameters()))
    assert all(p.grad is not None for p in task.heads["teacher"].parameters())
    task.zero_grad()
    task.teach()
    step = task(data)
    step.loss.backward()
    assert list(step.terms) == ["student"]
    assert all(p.grad is None for p in (*task.heads["teacher"].parameters(), *teacher.parameters()))
    assert all(p.grad is not None for p in student.parameters())
    assert not any("teacher" in name for name, _ in task.named_parameters() if not name.startswith("heads"))
    assert task.double()._teacher.model.convs[0].lin.weight.dtype == torch.float64


def test_both_stages_by_one_call():
    data, student, teacher, seen = graph(), gcn(1), gcn(2), []
    found = self_supervised(
        student, teacher, data, ("convs.0", "convs.0"), (8, 8), head_epochs=3, epochs=20, log=seen.append
    )
    assert found is student
    assert len(seen) == 20
    assert seen[-1]["student"] < seen[0]["student"]
    assert not student.convs[0]._forward_hooks
    assert not teacher.convs[0]._forward_hooks
