"""ERA where its paper has it: under label skew the mean of probabilities is flat, and flat targets teach slowly."""

from __future__ import annotations

from functools import cache

from graphkd.schemes.federated import era
from graphkd.schemes.teachers._combine import entropy_reduction, soft_target
from tests.schemes.regimes.federated.scene import federation, right, run
from tests.schemes.regimes.scene import mean_of

METHODS = ("era",)


def plain(answers, _):
    """The mean of probabilities as it is."""
    return soft_target(answers)


def test_a_sharpened_mean_teaches_more_than_the_plain_one(seed_offset, monkeypatch):
    @cache
    def measured(seed: int, rule) -> float:
        having = federation(seed, alpha=0.3)
        monkeypatch.setattr(era, "entropy_reduction", rule)
        return right(run("era", having, seed, rounds=2, local_epochs=15, distil_epochs=30), having.test)

    def holds(rule) -> bool:
        return mean_of(lambda seed: measured(seed, rule) - measured(seed, plain), 6, seed_offset) > 0.5

    assert holds(entropy_reduction)
    assert not holds(plain)
