"""Flow between layers: the formula, one channel at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import FSP, flow, fsp
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, assert_value, dot
from tests.losses.methods import stages, trained

SECOND = STUDENT[:, :2] - 0.4


TEACHER_SECOND = TEACHER[:, 1:] ** 2


def flows(first, second):
    """(1 / N) sum_i x_ik y_il for every channel of one layer and of the other."""
    return [[dot(first[:, k], second[:, c]) / len(first) for c in range(second.size(1))] for k in range(first.size(1))]


def flow_error(student, teacher):
    ours, theirs = flows(*student), flows(*teacher)
    return sum((a - b) ** 2 for row, twin in zip(ours, theirs, strict=True) for a, b in zip(row, twin, strict=True))


def test_flow():
    torch.testing.assert_close(flow(STUDENT, SECOND), torch.tensor(flows(STUDENT, SECOND), dtype=torch.float64))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_fsp(reduction):
    student, teacher = (STUDENT, SECOND), (TEACHER, TEACHER_SECOND)
    want = flow_error(student, teacher) / (6 if reduction == "mean" else 1)
    assert_value(fsp(student, teacher, reduction=reduction), want)
    assert_value(fsp(student, flow(*teacher), reduction=reduction), want)
    assert_value(FSP(reduction=reduction)(student, teacher), want)


def test_fsp_of_several_graphs():
    """Leading dimensions are graphs of equal size, over which it averages."""
    student, teacher = [(torch.stack([a, b]), torch.stack([c, d])) for a, b, c, d in (
        (STUDENT, TEACHER, SECOND, TEACHER_SECOND),
        (TEACHER, STUDENT, TEACHER_SECOND, SECOND),
    )]  # fmt: skip
    want = flow_error((STUDENT, SECOND), (TEACHER, TEACHER_SECOND))
    assert_value(FSP(reduction="sum")(student, teacher), want)


def test_fsp_of_single_nodes_compares_outer_products():
    student, teacher = (tuple(x[:, None] for x in pair) for pair in ((STUDENT, SECOND), (TEACHER, TEACHER_SECOND)))
    pairs = zip(STUDENT, SECOND, TEACHER, TEACHER_SECOND, strict=True)
    want = sum(flow_error((a[None], b[None]), (c[None], d[None])) for a, b, c, d in pairs) / 5
    assert_value(FSP(reduction="sum")(student, teacher), want)


def test_the_method_has_two_stages():
    result = trained("fsp", layers=("convs.0", "convs.1"))
    assert stages(result) == ["flow", "labels"]
    assert result.method == "fsp"


def test_the_method_needs_two_layers():
    with pytest.raises(ValueError, match=r"'fsp' needs two layers: give layers=\('convs.0', 'convs.1'\)"):
        trained("fsp")


class TestFSP(Behaviour):
    cases: ClassVar = {
        "FSP": Case(FSP, at_teacher="zero", refused_width=r"layers as wide as the student's, \(3, 3\), got \(4, 4\)"),
        "FSP_sum": Case(
            partial(FSP, reduction="sum"), at_teacher="zero", refused_width="'teacher' must have layers as wide"
        ),
    }
