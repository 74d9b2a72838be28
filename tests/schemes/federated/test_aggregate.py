"""The average of clients' weights."""

from __future__ import annotations

import pytest
import torch

from graphkd.schemes.federated import average_states
from tests.losses.example import STUDENT, TEACHER


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
