"""Information flow: PKT over layers, and its schedule."""

from __future__ import annotations

from typing import ClassVar

from graphkd import Distiller, Frozen
from graphkd.losses import InformationFlow, pkt
from tests.losses.behaviour import Behaviour, Case, Show
from tests.losses.example import STUDENT, TEACHER, WIDE_TEACHER, assert_value


def test_information_flow():
    loss = InformationFlow(on=("first", "second", "last")).double()
    student, teacher = (STUDENT, STUDENT.flip(0), STUDENT.roll(1, 0)), (TEACHER, WIDE_TEACHER, TEACHER.flip(0))
    values = [float(pkt(s, t, "combined", "jeffreys", eps=1e-6)) for s, t in zip(student, teacher, strict=True)]
    for epoch, weight in enumerate((100.0, 70.0, 49.0)):
        loss.set_epoch(epoch, 50)
        assert_value(loss(student, teacher), values[2] + weight * (values[0] + values[1]))
    rows = InformationFlow(on=("first", "second", "last"), initial=weight, reduction="rows").double()
    assert_value(rows(student, teacher), 5 * (values[2] + weight * (values[0] + values[1])))


def test_information_flow_knows_the_epoch():
    """Through the distiller, and after a restart."""
    names = ("hidden", "logits")
    distiller = Distiller(Show(STUDENT, names), Frozen(Show(TEACHER, names)), InformationFlow().double())
    distiller.set_epoch(2, 10)
    twin = Distiller(Show(STUDENT, names), Frozen(Show(TEACHER, names)), InformationFlow().double())
    twin.load_state_dict(distiller.state_dict())
    value = float(pkt(STUDENT, TEACHER, "combined", "jeffreys", eps=1e-6))
    for one in (distiller, twin):
        assert_value(one({}).loss, 50 * value)


class TestInformationFlow(Behaviour):
    cases: ClassVar = {
        "InformationFlow": Case(InformationFlow, at_teacher="zero"),
    }
