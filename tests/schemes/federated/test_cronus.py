"""Cronus: one client that lies moves the target little."""

from __future__ import annotations

import pytest
import torch

from graphkd.schemes.federated import Received
from graphkd.schemes.federated.cronus import rule
from tests.schemes.federated.answers import TEACHERS
from tests.schemes.federated.scene import run


def test_a_liar_is_left_out():
    answers = TEACHERS.float()
    honest = rule(1).fuse(Received(torch.stack([answers[0]] * 3), [], None))
    lied = rule(1).fuse(Received(torch.stack([answers[0], answers[0], 50 * answers[1]]), [], None))
    torch.testing.assert_close(lied, honest)
    torch.testing.assert_close(honest.exp(), answers[0].softmax(dim=-1))


def test_there_must_be_enough_clients():
    with pytest.raises(ValueError, match="'trim' must leave one of 3 teachers, got 2"):
        run("cronus", trim=2)
    assert len(run("cronus", mixed=True).model.models) == 3
