"""What servers make of what clients send: the formulas, one entry at a time; shares of rows; codes."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.losses import soft_cross_entropy
from graphkd.schemes.federated import (
    LogitMAE,
    SelectiveKD,
    average_states,
    class_parts,
    class_shares,
    clients_kl,
    confusion_shares,
    dirichlet_parts,
    fedftg_generator,
    fedftg_student,
    logit_mae,
    quantise,
    sample_state,
)
from tests.kernels.graphs import QUICK, normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, TEACHER, assert_value, softmax

TEACHERS = torch.stack([TEACHER, 2 * STUDENT.flip(0), TEACHER.flip(1)])
WEIGHTS = torch.tensor([1.0, 3.0, 4.0], dtype=torch.float64)
CONFUSION = torch.tensor([[0.8, 0.2, 0.0], [0.1, 0.6, 0.3], [0.3, 0.2, 0.5]], dtype=torch.float64)


def test_average_states():
    states = [{"w": STUDENT, "steps": torch.tensor(1)}, {"w": TEACHER, "steps": torch.tensor(7)}]
    found = average_states(states, [10, 30])
    torch.testing.assert_close(found["w"], 0.25 * STUDENT + 0.75 * TEACHER)
    assert found["steps"] == 7
    torch.testing.assert_close(average_states(states)["w"], (STUDENT + TEACHER) / 2)
    for wrong, message in (
        (([], None), "hold one at least"),
        (([{"w": STUDENT}, {"w": STUDENT[:1]}], None), "one architecture"),
        ((states, [1, 2, 3]), "'sizes' must be 2 counts"),
        ((states, [0, 0]), "'sizes' must be 2 counts"),
    ):
        with pytest.raises(ValueError, match=message):
            average_states(*wrong)


def test_sample_state():
    base, clients, noise = normal(2, 3, dtype=torch.float64, seed=0), [STUDENT[:2], TEACHER[:2]], STUDENT[2:4]
    found = sample_state({"w": base}, [{"w": client} for client in clients], {"w": noise}, step=0.5)["w"]
    updates = [client - base for client in clients]
    norms = [math.sqrt(sum(float(u) ** 2 for u in update.flatten())) for update in updates]
    for i, j in itertools.product(range(2), range(3)):
        directions = [float(update[i, j]) / norm for update, norm in zip(updates, norms, strict=True)]
        mean = sum(directions) / 2
        variance = max(sum(d * d for d in directions) / 2 - mean**2, 1e-5)
        want = float(base[i, j]) + 0.5 * sum(norms) / 2 * (mean + 0.1 * math.sqrt(variance) * float(noise[i, j]))
        assert float(found[i, j]) == pytest.approx(want, rel=1e-12)
    still = sample_state({"w": base}, [{"w": base}, {"w": base}], {"w": noise})["w"]
    torch.testing.assert_close(still, base)


@QUICK
@given(st.lists(st.floats(-4, 4), min_size=3, max_size=3), st.integers(1, 3))
def test_quantise_is_the_nearest_point(logits, bits):
    p, levels = torch.tensor(logits, dtype=torch.float64).softmax(dim=0), 2**bits - 1
    found = quantise(p[None], bits)[0]
    grid = [point for point in itertools.product(range(levels + 1), repeat=3) if sum(point) == levels]
    best = min(sum(abs(g / levels - float(q)) for g, q in zip(point, p, strict=True)) for point in grid)
    assert float((found - p).abs().sum()) == pytest.approx(best, abs=1e-12)
    assert float(found.sum()) == pytest.approx(1)


def test_one_bit_is_the_argmax():
    p = STUDENT.softmax(dim=1)
    assert torch.equal(quantise(p, 1), torch.nn.functional.one_hot(p.argmax(1), 3).double())
    with pytest.raises(ValueError, match="'bits' must be from 1 to 16, got 0"):
        quantise(p, 0)


@pytest.mark.parametrize("average", ["logits", "probabilities", "losses"])
def test_clients_kl(average):
    shares = [float(weight) / 8 for weight in WEIGHTS]

    def divergence(p, i):
        q = softmax(STUDENT[i])
        return sum(p[c] * math.log(p[c] / q[c]) for c in CLASSES)

    total = 0.0
    for i in NODES:
        each = [softmax(teacher[i]) for teacher in TEACHERS]
        if average == "losses":
            total += sum(share * divergence(p, i) for share, p in zip(shares, each, strict=True))
            continue
        rows = each if average == "probabilities" else [teacher[i].tolist() for teacher in TEACHERS]
        mean = [sum(share * float(row[c]) for share, row in zip(shares, rows, strict=True)) for c in CLASSES]
        total += divergence(mean if average == "probabilities" else softmax(mean), i)
    assert_value(clients_kl(STUDENT, TEACHERS, weights=WEIGHTS, average=average), total / 5)
    with pytest.raises(ValueError, match="'average' must be one of"):
        clients_kl(STUDENT, TEACHERS, average="votes")


def test_logit_mae():
    want = sum(abs(float(STUDENT[i, c] - TEACHER[i, c])) for i in NODES for c in CLASSES) / 15
    assert_value(logit_mae(STUDENT, TEACHER), want)
    assert_value(LogitMAE()(STUDENT, TEACHER), want)


def test_fedftg_generator():
    noise, weights = normal(5, 2, dtype=torch.float64, seed=1), WEIGHTS.repeat(2)[:5] / 8
    x = normal(5, 4, dtype=torch.float64, seed=2)
    found = fedftg_generator(x, noise, STUDENT, TEACHER, LABELS, weights, clients=4, class_weight=2.0)
    gaps = [sum(abs(float(STUDENT[i, c] - TEACHER[i, c])) for c in CLASSES) / 3 for i in NODES]
    apart = sum(float(w) * gap for w, gap in zip(weights, gaps, strict=True)) / 5
    entropy = sum(-math.log(softmax(TEACHER[i])[int(LABELS[i])]) for i in NODES) / 5
    spread = sum(
        float((noise[i] - noise[j]).square().mean() * (x[i] - x[j]).abs().mean()) for i in NODES for j in NODES
    )
    diversity = math.exp(-spread / 25)
    want = -apart + 2.0 * entropy * float(weights.mean()) + diversity / 4
    assert_value(found.loss, want)
    assert_value(found.diversity, diversity)


def test_fedftg_student():
    weights = class_shares(LABELS, torch.tensor([[3, 0, 1], [1, 0, 1], [0, 2, 2]])).double()
    assert weights[:, 1].tolist() == pytest.approx([0.75, 0.25, 0.0])
    assert weights[:, 2].tolist() == pytest.approx([0.0, 0.0, 1.0])
    total = 0.0
    for i in NODES:
        target = [sum(float(weights[k, i]) * softmax(TEACHERS[k, i])[c] for k in range(3)) for c in CLASSES]
        total -= sum(target[c] * math.log(softmax(STUDENT[i])[c]) for c in CLASSES)
    assert_value(fedftg_student(STUDENT, TEACHERS, weights), total / 15)
    alone = torch.tensor([1.0, 0.0, 0.0])[:, None].expand(3, 5)
    torch.testing.assert_close(fedftg_student(STUDENT, TEACHERS, alone), soft_cross_entropy(STUDENT, TEACHER) / 3)
    half = torch.tensor([0.5, 0.0, 0.0])[:, None] * torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0])  # clients who are absent
    part = soft_cross_entropy(STUDENT[:3], TEACHER[:3]) / 3
    torch.testing.assert_close(fedftg_student(STUDENT, TEACHERS, half), 0.5 * part * 3 / 5)
    with pytest.raises(ValueError, match=r"'weights' must have shape \(3, 5\), got \(3,\)"):
        fedftg_student(STUDENT, TEACHERS, WEIGHTS)


def test_confusion_shares():
    found = confusion_shares(STUDENT, LABELS)  # the student takes the rows for classes 2, 0, 2, 0, 0
    assert found.tolist() == [[1.0, 0.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0]]


@QUICK
@given(st.integers(1, 6), st.sampled_from([0.05, 1.0, 100.0]), st.integers(0, 5))
def test_dirichlet_parts_share_out_all_rows(clients, alpha, seed):
    y = torch.arange(40) % 4
    parts = dirichlet_parts(y, clients, alpha, seed=seed)
    assert len(parts) == clients
    assert torch.cat(parts).sort().values.tolist() == list(range(40))
    assert all(torch.equal(a, b) for a, b in zip(parts, dirichlet_parts(y, clients, alpha, seed=seed), strict=True))


def test_dirichlet_skew_grows_as_alpha_falls():
    y = torch.arange(700) % 7

    def largest_share(alpha):
        counts = torch.stack([torch.bincount(y[p], minlength=7) for p in dirichlet_parts(y, 5, alpha)]).double()
        return float((counts.amax(dim=0) / 100).mean())

    assert largest_share(0.1) > 0.5 > 0.35 > largest_share(100.0)


def test_class_parts():
    y = torch.arange(70) % 7
    parts = class_parts(y, 5, 2)
    assert [y[part].unique().numel() for part in parts] == [2] * 5
    assert torch.cat(parts).unique().numel() == sum(part.numel() for part in parts) == 70
    assert torch.cat(class_parts(y, 2, 2)).numel() == 40  # three classes belong to nobody
    with pytest.raises(ValueError, match="'classes' must be from 1 to 7, got 8"):
        class_parts(y, 5, 8)
    with pytest.raises(ValueError, match="'alpha' must be positive, got 0"):
        dirichlet_parts(y, 5, 0)


WIDTH = r"'teacher' must be as wide as 'student' \(3\), got 4"


class TestFederated(Behaviour):
    cases: ClassVar = {
        "LogitMAE": Case(
            LogitMAE, at_teacher="zero", distance=lambda s, t, _: (s - t).abs().sum(), refused_width=WIDTH
        ),
        "SelectiveKD": Case(partial(SelectiveKD, CONFUSION), at_teacher="zero", refused_width=WIDTH),
    }


def test_selective_kd_trusts_classes_that_the_model_knows():
    by_class = SelectiveKD(CONFUSION, by_row=False, threshold=0.0)(STUDENT, TEACHER, y=LABELS)
    trust = [0.8 * (1 - 0.3), 0.6 * (1 - 0.2), 0.5 * (1 - 0.3)]
    want = sum((trust[c] * float(STUDENT[i, c] - TEACHER[i, c])) ** 2 for i in NODES for c in CLASSES) / 5
    assert_value(by_class, want)
