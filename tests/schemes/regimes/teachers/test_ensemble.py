"""Ensembles where Hinton et al. have them: members that err in ways of their own, which a mean evens out."""

from __future__ import annotations

import pytest

from tests.schemes.regimes.scene import mean_of
from tests.schemes.regimes.teachers.scene import of_noise, regions, score

METHODS = ("ensemble", "ensemble_logits")


@pytest.mark.parametrize("name", METHODS)
def test_a_mean_of_noisy_teachers_teaches_more_than_one_of_them(name, seed_offset):
    """Half the labels of each teacher were drawn at random, for each in another way."""

    def gain(same: bool) -> float:
        def of(seed: int) -> float:
            data = regions(seed)
            teachers = of_noise(seed)
            one = score("kd", data, teachers[0], seed)
            return score(name, data, [teachers[0]] * 3 if same else teachers, seed) - one

        return mean_of(of, 3, seed_offset)

    assert gain(same=False) > 2
    assert not gain(same=True) > 2  # three times one teacher is one teacher
