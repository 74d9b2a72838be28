"""RL-KD where its paper has it: several teachers, some of them bad, and nobody says which."""

from __future__ import annotations

from tests.schemes.regimes.scene import mean_of
from tests.schemes.regimes.teachers.scene import one_good, regions, score

METHODS = ("rl_kd",)


def test_the_policy_keeps_away_from_bad_teachers(seed_offset):
    """The mean of a good teacher and two bad ones misleads; the policy learns from the student's errors who is who."""

    def gain(warm: int) -> float:
        def of(seed: int) -> float:
            data = regions(seed)
            teachers, options = one_good(seed), {"warm": warm, "epochs": 90}
            mean = score("ensemble", data, teachers, seed, label_weight=0.5, epochs=90)
            return score("rl_kd", data, teachers, seed, **options) - mean

        return mean_of(of, 10, seed_offset)

    assert gain(10) > 2
    assert not gain(90) > 2  # all are listened to throughout
