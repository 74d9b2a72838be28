"""Triplets that teachers vote on, from features of different widths."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd import Frozen
from graphkd.schemes import VotedTriplets, voted_student
from tests.core.models import gcn, graph
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, WIDE_TEACHER, assert_value

SIDE_BY_SIDE = torch.cat([TEACHER, WIDE_TEACHER, TEACHER.flip(0)], dim=1)
WIDTHS = [3, 5, 3]


def distance(x, i, j):
    return sum((float(a) - float(b)) ** 2 for a, b in zip(x[i], x[j], strict=True)) ** 0.5


def test_voted_triplets():
    loss = VotedTriplets(WIDTHS, 0.3, triplets=40)
    digest = loss.digest(SIDE_BY_SIDE)
    assert digest.shape == (3, 5, 5)
    torch.manual_seed(0)
    got = loss(STUDENT, digest)
    torch.manual_seed(0)
    total = 0.0
    for a, j, k in torch.randint(5, (40, 3)).tolist():
        votes = 0
        for teacher in (TEACHER, WIDE_TEACHER, TEACHER.flip(0)):
            gap = distance(teacher, a, k) - distance(teacher, a, j)
            votes += (gap > 1e-12) - (gap < -1e-12)
        near, far = (k, j) if votes < 0 else (j, k)
        total += max(distance(STUDENT, a, near) - distance(STUDENT, a, far) + 0.3, 0.0)
    assert_value(got, total / 40)


class TestVotedTriplets(Behaviour):
    cases: ClassVar = {
        "VotedTriplets": Case(
            partial(VotedTriplets, [1, 2], 0.5, triplets=None), refused_width="'widths' must sum to the 4 features"
        )
    }


def test_its_edges():
    loss = VotedTriplets(WIDTHS)
    empty = STUDENT[:0].requires_grad_()
    loss(empty, loss.digest(SIDE_BY_SIDE[:0])).backward()
    assert empty.grad.shape == (0, 3)
    with pytest.raises(ValueError, match="'widths' must sum to the 11 features of all teachers, got"):
        VotedTriplets([3, 5]).digest(SIDE_BY_SIDE)


def test_a_voted_student_learns_labels_answers_and_order(monkeypatch):
    from graphkd.schemes import triplets as scheme

    data, student, seen = graph(), gcn(1, width=4), []
    teachers = [gcn(2), gcn(3, width=6)]
    fitted = scheme.fit
    monkeypatch.setattr(scheme, "fit", lambda task, batch, **options: fitted(task, batch, log=seen.append, **options))
    before = [value.clone() for value in teachers[0].state_dict().values()]
    found = voted_student(student, teachers, data, ("convs.0", ["convs.0", "convs.0"]), [8, 6], epochs=60)
    assert found is student
    assert {"ce", "kl", "votedtriplets"} < set(seen[0])
    assert seen[-1]["votedtriplets"] < seen[0]["votedtriplets"]
    assert seen[-1]["kl"] < seen[0]["kl"]
    assert all(torch.equal(one, other) for one, other in zip(before, teachers[0].state_dict().values(), strict=True))
    assert not any(model.convs[0]._forward_hooks for model in (student, *teachers))
    assert Frozen(student)(data)["logits"].shape == (30, 3)
