"""Activation records where their paper has them: the data are gone, and fill a few directions of a wide space.

Inputs that are normal in every feature lie off them, where a teacher's answers say little; records bring them back.
In a space of 64 features a hundred normal rows still show enough. Width and points were chosen at seeds from 300 on,
which no offset below 50 has.
"""

from __future__ import annotations

import graphkd
from tests.schemes.regimes.data_free.scene import in_a_plane, rows, teacher
from tests.schemes.regimes.scene import accuracy, mean_of, net

METHODS = ("activation_records",)


def test_inputs_made_from_records_teach_what_normal_ones_do_not(seed_offset):
    def scores(seed: int, steps: int) -> float:
        data = in_a_plane(rows(seed, rows=400, width=2, labels=10, spread=0.3), seed, 256)
        options = {"hidden": "lins.0", "rows": 100, "epochs": 60, "seed": seed, "progress": False}
        known, student = teacher(data, seed, hidden=32), net(256, 8, 6, seed=seed)
        return accuracy(graphkd.distil("activation_records", student, known, data, steps=steps, **options).model, data)

    noise = mean_of(lambda seed: scores(seed, 0), 6, seed_offset)

    def holds(steps: int) -> bool:
        """Whether the student beats one that was taught on inputs without a step."""
        return mean_of(lambda seed: scores(seed, steps), 6, seed_offset) > noise + 8

    assert holds(100)
    assert not holds(1)  # one step moves inputs by a twentieth of their deviation
