"""CRCD: relations to anchors, and agreement of gradients, automatic ones and the cosine row by row."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

from graphkd.losses import (
    CRCD,
    CRCDGradient,
    crcd,
    crcd_gradient,
    cross_entropy_gradient,
)
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import LABELS, NODES, STUDENT, TEACHER, WIDE_TEACHER, approx, assert_value, dot, norm
from tests.losses.information.memories import INDEX, TAU, estimation, facts, memory, relations, remembering
from tests.losses.scene import OTHER_WIDTH, SAME_WIDTH


def test_relations_of_equal_memories():
    """A key that is the anchor itself, one that equals it, and one a thousandth away."""
    held = memory(0)
    held[6] = held[2]
    held[3] = held[2] + 1e-3
    want = relations(STUDENT, held)
    got = crcd(STUDENT, held, INDEX, approx(0.0), TAU)
    torch.testing.assert_close(got, approx(estimation(want, 1.0)), rtol=1e-5, atol=0)


FACTS = {"n_id": torch.tensor([2, 7, 1, 4, 0]), "negatives": torch.arange(15).reshape(5, 3) % 8}


def test_gradient_of_the_cross_entropy():
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 4).double()
    features = STUDENT.clone().requires_grad_()
    (want,) = torch.autograd.grad(F.cross_entropy(layer(features), LABELS, reduction="sum"), features)
    torch.testing.assert_close(cross_entropy_gradient(STUDENT, LABELS, layer.weight, layer.bias), want)
    logits = STUDENT.clone().requires_grad_()
    (want,) = torch.autograd.grad(F.cross_entropy(logits, LABELS, reduction="sum"), logits)
    torch.testing.assert_close(cross_entropy_gradient(STUDENT, LABELS, None), want)


def test_agreement_of_gradients():
    want = sum(1 - dot(STUDENT[i], TEACHER[i]) / norm(STUDENT[i]) / norm(TEACHER[i]) for i in NODES) / 5
    assert_value(crcd_gradient(STUDENT, TEACHER), want)


def test_contrast_of_gradients():
    """The contrast sees gradients in the place of features; its parameters train, the classifiers' are not its own."""
    torch.manual_seed(0)
    layers = torch.nn.Linear(3, 4).double(), torch.nn.Linear(5, 4).double()
    inner = CRCD(8, 3, 5, 4, negatives=3).double().eval()
    loss = CRCDGradient(*layers, inner)
    gradients = (
        cross_entropy_gradient(x, LABELS, layer.weight, layer.bias)
        for x, layer in zip((STUDENT, WIDE_TEACHER), layers, strict=True)
    )
    value = loss(STUDENT, WIDE_TEACHER, y=LABELS, **FACTS)
    assert torch.equal(value, inner(*gradients, **FACTS))
    value.backward()
    assert layers[0].weight.grad.any()
    assert layers[1].weight.grad is None
    assert {id(p) for p in loss.parameters()} == {id(p) for p in inner.parameters()}


def test_labels_must_be_classes():
    with pytest.raises(ValueError, match=r"'y' must hold labels in \[0, 2\), got labels from 0 to 2"):
        cross_entropy_gradient(STUDENT, LABELS, torch.ones(2, 3, dtype=torch.float64))


class TestCRCD(Behaviour):
    cases: ClassVar = {
        "CRCD": Case(partial(remembering, CRCD), widths=(3, 5), facts=facts, refused_width=OTHER_WIDTH),
        "CRCDGradient": Case(CRCDGradient, at_teacher="zero", refused_width=SAME_WIDTH),
    }
