"""Guided search where its paper has it: candidates of which few can hold what the teacher knows."""

from __future__ import annotations

from statistics import fmean

from tests.schemes.regimes.scene import mean_of
from tests.schemes.regimes.teachers.scene import perceptron, regions, score, trained

METHODS = ("guided_search",)


def test_an_early_look_finds_the_candidate_worth_training(seed_offset):
    """One candidate is trained to the end, and must be better than one of them at random would be."""

    def gain(widths: tuple[int, ...]) -> float:
        def of(seed: int) -> float:
            data = regions(seed)
            teacher = trained(perceptron(32, seed), data, ~data.test_mask, seed=seed)
            candidates = [perceptron(width, seed + 50) for width in widths]
            options = {"keep": 1, "early": 10, "epochs": 30, "probes": 100, "candidates": candidates}
            found = score("guided_search", data, teacher, seed, **options)
            return found - fmean(score("kd", data, teacher, seed, width=width) for width in widths)

        return mean_of(of, 4, seed_offset)

    assert gain((1, 2, 24)) > 10
    assert not gain((2, 2, 2)) > 10  # where all are alike there is nothing to find
