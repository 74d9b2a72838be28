"""Oracle distillation where its paper has it: teachers that err apart, each right about some rows alone."""

from __future__ import annotations

from tests.schemes.regimes.scene import mean_of
from tests.schemes.regimes.teachers.scene import perceptron, regions, score, specialists

METHODS = ("oracle",)


def test_the_teachers_that_are_right_teach_more_than_labels_and_than_the_mean_of_all(seed_offset):
    """Each teacher is right in a region and wrong elsewhere, so that their mean is wrong nearly everywhere."""

    def gain(weight: float, over: str) -> float:
        def of(seed: int) -> float:
            data = regions(seed)
            teachers = specialists(seed)
            given = None if over == "none" else teachers
            return score("oracle", data, teachers, seed, weight=weight) - score(over, data, given, seed)

        return mean_of(of, 8, seed_offset)

    assert gain(1.0, "none") > 0.2
    assert gain(1.0, "ensemble") > 5
    assert not gain(0.0, "none") > 0.2  # without the teachers it is the student alone


def test_a_search_within_the_budget_finds_the_model_that_can_hold_what_they_know(seed_offset):
    """The student has a single hidden unit, which tells nine clusters apart badly."""

    def gain(budget: int | None) -> float:
        def of(seed: int) -> float:
            data = regions(seed)
            teachers, narrow = specialists(seed), perceptron(1, seed)
            searched = {"candidates": [perceptron(16, seed), perceptron(24, seed)], "budget": budget}
            options = {"student": narrow, "trials": 10, "epochs": 20}
            found = score("oracle", data, teachers, seed, **options, **searched)
            return found - score("oracle", data, teachers, seed, student=narrow, epochs=20)

        return mean_of(of, 6, seed_offset)

    assert gain(None) > 17
    assert not gain(100) > 17  # bytes, in which there is room for the student alone
