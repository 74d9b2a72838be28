"""TMKD where its paper has it: teachers with opinions of their own, each of which has a head to keep it."""

from __future__ import annotations

from tests.schemes.regimes.scene import mean_of
from tests.schemes.regimes.teachers.scene import of_noise, regions, score

METHODS = ("tmkd",)


def test_heads_of_several_teachers_know_more_than_a_student_of_one(seed_offset):
    """Half the labels of each teacher were drawn at random, for each in another way."""

    def gain(same: bool) -> float:
        def of(seed: int) -> float:
            data = regions(seed)
            teachers = of_noise(seed)
            one = score("kd", data, teachers[0], seed)
            return score("tmkd", data, [teachers[0]] * 3 if same else teachers, seed) - one

        return mean_of(of, 5, seed_offset)

    assert gain(same=False) > 3
    assert not gain(same=True) > 3  # three times one teacher is one teacher
