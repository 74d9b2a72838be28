"""How the instance relationship graph moves between layers, one instance and one pair at a time."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from graphkd.losses import (
    IRGEdgeTransform,
    IRGTransform,
    irg_edge_transform,
    irg_transform,
)
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, TEACHER, WIDE_TEACHER, assert_value
from tests.losses.methods import trained
from tests.losses.relations.test_irg import (
    PAIR,
    SECOND,
    TEACHER_PAIR,
    TEACHER_SECOND,
    each_reduction,
    each_scale,
    edges,
    error,
    moves,
)


@each_scale
@each_reduction
def test_moves(scale, reduction):
    want = error(moves(*PAIR), moves(*TEACHER_PAIR), scale) / {"mean": 5, "rows": 2, "sum": 1}[reduction]
    for constant in (True, False):
        knobs = {"constant": constant, "reduction": reduction}
        assert_value(irg_transform(PAIR, TEACHER_PAIR, scale=scale, **knobs), want)
        assert_value(IRGTransform(scale, **knobs)(PAIR, TEACHER_PAIR), want)


@each_scale
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_moves_of_edges(scale, reduction):
    """Between layers of any widths."""
    layers = [(STUDENT, WIDE_TEACHER), (TEACHER_SECOND, SECOND)]
    count = {"mean": 25, "sum": 1}[reduction]
    student, teacher = (error(edges(first), edges(second), scale) / count for first, second in layers)
    for constant in (True, False):
        knobs = {"constant": constant, "reduction": reduction}
        assert_value(irg_edge_transform(*layers, scale=scale, **knobs), (student - teacher) ** 2)
        loss = IRGEdgeTransform(scale, **knobs)
        assert_value(loss(layers[0], loss.digest(layers[1])), (student - teacher) ** 2)


def test_a_layer_twice_as_wide():
    """Its adjacent channels are averaged."""
    wide = torch.cat([SECOND, SECOND - 1], dim=1)
    halved = (wide[:, 0::2] + wide[:, 1::2]) / 2
    got = irg_transform((STUDENT, wide), TEACHER_PAIR)
    assert_value(got, error(moves(STUDENT, halved), moves(*TEACHER_PAIR), "max") / 5)
    with pytest.raises(ValueError, match="of one width, or the second twice as wide, got 3 and 5"):
        irg_transform((STUDENT, WIDE_TEACHER), TEACHER_PAIR)


def test_gradient_through_the_scales_of_edge_moves():
    student = STUDENT.clone().requires_grad_()

    def value(constant):
        return irg_edge_transform((student, student * SECOND), (TEACHER, STUDENT), constant=constant)

    constant, exact = (torch.autograd.grad(value(constant), student)[0] for constant in (True, False))
    assert not torch.allclose(constant, exact)
    assert torch.autograd.gradcheck(lambda _: value(False), student)


def apart(loss, entries):
    """A student whose second layer is not the first again."""
    (first, second), teacher = entries
    return (first, second.roll(1, dims=1)), teacher


def moving(**options):
    loss = IRGTransform("mean", constant=False, **options)
    loss.register_forward_pre_hook(apart)
    return loss


def stretched(loss, entries):
    """A student whose second layer has other distances."""
    (first, second), teacher = entries
    return (first, second * torch.arange(1, second.size(1) + 1)), teacher


def stretching(**options):
    loss = IRGEdgeTransform("mean", constant=False, **options)
    loss.register_forward_pre_hook(stretched)
    return loss


def test_the_method_needs_two_layers():
    with pytest.raises(ValueError, match=r"'irg_transform' needs two layers: give layers=\('convs.0', 'convs.1'\)"):
        trained("irg_transform")
    assert trained("irg_transform", layers=("convs.0", ("convs.1:in", "convs.1:in"))).method == "irg_transform"


class TestIRGTransform(Behaviour):
    cases: ClassVar = {
        "IRGTransform": Case(moving, (3, 5)),
        "IRGEdgeTransform": Case(stretching, (3, 5)),
    }
