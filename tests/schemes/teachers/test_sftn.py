"""SFTN: the sum by its parts, its two-sided gradient, and a teacher trained with branches."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv

import graphkd
from graphkd import fit
from graphkd.losses import cross_entropy
from graphkd.schemes import StudentFriendly, sftn_loss
from tests.core.models import CLASSES, gcn, graph
from tests.losses.example import CLASSES as EACH_CLASS
from tests.losses.example import LABELS, NODES, STUDENT, TEACHER, assert_value, softmax

BRANCHES = torch.stack([STUDENT, STUDENT.flip(0)])


def test_sftn_loss():
    want = 0.5 * float(cross_entropy(TEACHER, LABELS))
    for branch in BRANCHES:
        want += 3 * float(cross_entropy(branch, LABELS))
        for i in NODES:
            p, q = softmax(TEACHER[i], 2.0), softmax(branch[i], 2.0)
            want += 2 * sum(q[c] * (torch.tensor(q[c] / p[c]).log().item()) for c in EACH_CLASS) / len(NODES)
    assert float(sftn_loss(TEACHER, BRANCHES, LABELS, 2.0, weights=(0.5, 2.0, 3.0))) == pytest.approx(want, rel=1e-6)


def test_both_sides_learn_from_their_divergence():
    teacher, branches = TEACHER.clone().requires_grad_(), BRANCHES.clone().requires_grad_()
    sftn_loss(teacher, branches, LABELS, weights=(0.0, 1.0, 0.0)).backward()
    assert teacher.grad.any()
    assert branches.grad.any()
    same = TEACHER.expand(2, -1, -1)
    assert_value(sftn_loss(TEACHER, same, LABELS, weights=(0.0, 1.0, 0.0)), 0.0)


class Rest(nn.Module):
    """What a student has from its hidden layer on."""

    def __init__(self):
        super().__init__()
        self.transform, self.conv = nn.Linear(8, 4), GCNConv(4, CLASSES)

    def forward(self, hidden, edge_index):
        return self.conv(self.transform(hidden).relu(), edge_index)


def test_a_teacher_is_trained_with_its_branches():
    data, teacher = graph(), gcn(1)
    torch.manual_seed(0)
    branch, seen = Rest(), []
    weight = branch.transform.weight.detach().clone()
    task = StudentFriendly(teacher, {"last": ("convs.0", branch)}, where="train_mask")
    found = fit(task, data, epochs=10, log=seen.append)
    assert found is teacher
    assert not torch.equal(branch.transform.weight, weight)
    assert seen[-1]["sftn"] < seen[0]["sftn"]
    assert not teacher.convs[0]._forward_hooks


def test_without_branches_there_is_nothing_to_be_friendly_to():
    with pytest.raises(ValueError, match="'branches' must hold one at least"):
        StudentFriendly(gcn(1), {}, where="train_mask")


@pytest.mark.parametrize("given", [False, True])
def test_a_teacher_of_the_student_then_the_student(given):
    data, seen, student = graph(), [], gcn(2, width=4)
    branch = nn.Linear(10, CLASSES) if given else None
    before = None if branch is None else branch.weight.detach().clone()
    result = graphkd.distil(
        "sftn", student, gcn(1, width=10), data, hidden="convs.0", branch=branch, epochs=20, log=seen.append
    )
    first, second = ([row for row in seen if row["stage"] == stage] for stage in ("teacher", "student"))
    assert first[-1]["sftn"] < first[0]["sftn"]
    assert second[-1]["loss"] < second[0]["loss"]
    assert result.model.hidden_channels == 4
    assert branch is None or torch.equal(branch.weight, before)
