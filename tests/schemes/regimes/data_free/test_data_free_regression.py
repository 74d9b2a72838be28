"""Data-free regression where its paper has it: a teacher is kept, its data are gone, and nearly no row has a label.

A generator is paid for disagreement, which is largest far from the data; made inputs help as far as they stay near.
"""

from __future__ import annotations

import graphkd
from tests.schemes.regimes.data_free.scene import rows, teacher
from tests.schemes.regimes.scene import accuracy, mean_of, net

METHODS = ("data_free_regression",)


def test_made_inputs_on_the_scale_of_the_data_teach_a_student(seed_offset):
    def gain(seed: int, *, standardise: bool) -> float:
        """Points over a student that has one label a class."""
        data = rows(seed, rows=400, width=8, labels=1, spread=0.8)
        student, known, options = net(8, 16, 6, seed=seed), teacher(data, seed), {"seed": seed, "progress": False}
        alone = graphkd.distil("none", student, None, data, epochs=60, **options).model
        options |= {"standardise": standardise, "steps": 2, "epochs": 80}
        return accuracy(graphkd.distil("data_free_regression", student, known, data, **options).model, data) - accuracy(
            alone, data
        )

    made = mean_of(lambda seed: gain(seed, standardise=True), 5, seed_offset)
    run_away = mean_of(lambda seed: gain(seed, standardise=False), 5, seed_offset)  # as printed, the control
    assert made > 10
    assert made > run_away + 1.5
