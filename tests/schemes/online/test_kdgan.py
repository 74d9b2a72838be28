"""KDGAN: the losses by loops, who learns from which, and a few epochs of the game."""

from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd import fit
from graphkd.losses import CE
from graphkd.schemes import KDGAN, pair_discrimination, pair_policy
from tests.core.models import gcn, graph
from tests.losses.example import STUDENT, TEACHER, sigmoid

PAIRS = torch.tensor([[0, 2], [4, 1], [3, 0], [0, 2]])
REAL = torch.tensor([1, 0, 1, 0])


def game(*models, **options):
    """A game in which all play from the first step."""
    options = {"warm_up": 0, "teacher_every": 1, **options}
    return KDGAN(*models, labels=CE(where="train_mask"), where="train_mask", targets="y", **options)


def test_losses():
    scores = [float(TEACHER[i, c]) for i, c in PAIRS.tolist()]
    want = -sum(math.log(sigmoid(z if real else -z)) for z, real in zip(scores, REAL.tolist(), strict=True)) / 4
    assert float(pair_discrimination(TEACHER, PAIRS, REAL)) == pytest.approx(want)
    want = 0.0
    for (i, c), score in zip(PAIRS.tolist(), scores, strict=True):
        reward, p = sigmoid(score), sigmoid(STUDENT[i, c])
        want -= (reward * math.log(p) + (1 - reward) * math.log(1 - p)) / 4
    assert float(pair_policy(STUDENT, TEACHER, PAIRS)) == pytest.approx(want)


def test_the_verdict_is_constant():
    scores = TEACHER.clone().requires_grad_()
    assert not pair_policy(STUDENT, scores, PAIRS).requires_grad


def test_the_discriminator_learns_from_pairs_alone():
    """And only labels of training nodes are read."""
    data, task = graph(), game(gcn(1), gcn(2), gcn(3), adversarial=0.0, distil=0.0)
    torch.manual_seed(0)
    loss, terms = task(data)
    loss.backward()
    assert all(p.grad is not None for p in task.parameters())
    assert set(terms) == {
        f"{part}_{name}"
        for part in ("label", "policy", "discrimination", "distil")
        for name in ("classifier", "teacher")
    }
    data.y[~data.train_mask] = 0
    torch.manual_seed(0)
    assert torch.equal(task(data).loss, loss)


def test_the_game():
    data, seen, classifier = graph(), [], gcn(1)
    got = fit(game(classifier, gcn(2), gcn(3)), data, epochs=40, log=seen.append)
    assert got is classifier
    assert seen[-1]["label_classifier"] < seen[0]["label_classifier"]
    assert seen[-1]["distil_classifier"] == pytest.approx(seen[-1]["distil_teacher"])


def test_without_labelled_rows_both_learn_from_each_other():
    data = graph()
    data.train_mask[:] = False
    loss, terms = game(gcn(1), gcn(2), gcn(3))(data)
    loss.backward()
    assert set(terms) == {"distil_classifier", "distil_teacher"}


def test_a_discriminator_of_ones_own():
    """Which sees more than the student, and is not touched."""
    data, judge = graph(), gcn(3, width=5)
    before = judge.convs[0].lin.weight.clone()
    options = {"epochs": 2, "progress": False}
    one, other = (
        graphkd.distil("kdgan", gcn(1), gcn(2), data, discriminator=given, **options).model.state_dict()
        for given in (judge, None)
    )
    assert torch.equal(judge.convs[0].lin.weight, before)
    assert any(not torch.equal(value, other[name]) for name, value in one.items())


def test_share():
    with pytest.raises(ValueError, match=r"'share' must be in \[0, 1\], got 2"):
        game(gcn(), gcn(), gcn(), share=2)


def test_in_turn_the_teacher_stays_while_the_others_warm_up():
    task, data = game(gcn(1), gcn(2), gcn(3), warm_up=2, teacher_every=3), graph()
    found = []
    for epoch in range(6):
        task.set_epoch(epoch, 6)
        task.zero_grad()
        terms = task(data).terms
        task(data).loss.backward()
        moved = {name for name in ("student", "teacher", "discriminator") if _has_gradient(getattr(task, name))}
        found.append(("policy_classifier" in terms, "policy_teacher" in terms, "teacher" in moved))
        assert moved >= {"student", "discriminator"}
    assert found == [(False, False, False)] * 2 + [(True, True, True), *[(True, False, False)] * 2, (True, True, True)]
    with pytest.raises(ValueError, match="'warm_up' must be at least 0 and 'teacher_every' at least 1, got 1 and 0"):
        game(gcn(), gcn(), gcn(), warm_up=1, teacher_every=0)


def _has_gradient(model):
    return any(p.grad is not None for p in model.parameters())


def test_the_method_trains_student_and_discriminator_before_the_game():
    seen = []
    graphkd.distil("kdgan", gcn(1), gcn(2), graph(), epochs=2, progress=False, log=seen.append)
    assert list(dict.fromkeys(report["stage"] for report in seen)) == ["classifier", "discriminator", "game"]
    assert {"discrimination_classifier", "discrimination_teacher"} < set(seen[2])
