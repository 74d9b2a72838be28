"""Triplets that teachers vote on, from features of different widths."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

import graphkd
from graphkd.losses import triplet_hinge
from graphkd.schemes import VotedTriplets, vote_triplets
from tests.core.models import gcn, graph
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, STUDENT, TEACHER, WIDE_TEACHER, assert_value

SIDE_BY_SIDE = torch.cat([TEACHER, WIDE_TEACHER, TEACHER.flip(0)], dim=1)
WIDTHS = [3, 5, 3]


TEACHERS = torch.stack([TEACHER, TEACHER.flip(0), 2 * STUDENT.flip(1)])


def distance(x, i, j):
    return sum((float(a) - float(b)) ** 2 for a, b in zip(x[i], x[j], strict=True)) ** 0.5


def test_vote_triplets():
    triplets = torch.tensor([[0, 1, 2], [3, 4, 0], [2, 0, 4], [1, 3, 2]])
    oriented, votes = vote_triplets(TEACHERS, triplets)
    total = 0.0
    for m, (a, one, other) in enumerate(triplets.tolist()):
        nearer = [distance(x, a, one) < distance(x, a, other) for x in TEACHERS]
        near, far = (one, other) if sum(nearer) >= 2 else (other, one)
        assert oriented[m].tolist() == [a, near, far]
        assert votes[m] == 2 * sum(nearer) - 3
        total += max(0.0, distance(STUDENT, a, near) - distance(STUDENT, a, far) + 0.2) / 4
    assert (votes < 0).any()
    assert_value(triplet_hinge(*(STUDENT[rows] for rows in oriented.t())), total)
    with pytest.raises(ValueError, match=r"'triplets' must hold integers of shape \(M, 3\), got torch.int64"):
        vote_triplets(TEACHERS, LABELS)


def test_a_tie_keeps_the_order():
    triplets = torch.tensor([[0, 1, 2]])
    oriented, votes = vote_triplets(torch.ones(2, 3, 1), triplets)
    assert torch.equal(oriented, triplets)
    assert votes.tolist() == [0]


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


def test_a_student_learns_labels_answers_and_order():
    data, student, seen = graph(), gcn(1, width=4), []
    teachers = [gcn(2), gcn(3, width=6)]
    graphkd.distil("voted_triplets", student, teachers, data, hidden="convs.0", epochs=60, log=seen.append)
    assert {"ce", "kl", "votedtriplets"} < set(seen[0])
    assert seen[-1]["votedtriplets"] < seen[0]["votedtriplets"]
    assert seen[-1]["kl"] < seen[0]["kl"]
