"""Graph distillation where its paper has it: several good teachers, few labels."""

from __future__ import annotations

from tests.schemes.regimes.scene import mean_of
from tests.schemes.regimes.teachers.scene import of_noise, regions, score

METHODS = ("graph_distillation",)


def test_graphs_of_several_teachers_teach_what_few_labels_do_not(seed_offset):
    def gain(logits: float, representation: float) -> float:
        def of(seed: int) -> float:
            data = regions(seed)
            teachers = of_noise(seed, 0.0, 2)
            weights = {"logits_weight": logits, "representation_weight": representation, "dimension": 32}
            return score("graph_distillation", data, teachers, seed, **weights) - score("none", data, None, seed)

        return mean_of(of, 6, seed_offset)

    assert gain(1.0, 0.1) > 1.5
    assert not gain(0.0, 0.0) > 1.5  # labels alone
