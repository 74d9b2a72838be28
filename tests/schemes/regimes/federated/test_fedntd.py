"""FedNTD where its paper has it: clients that lack whole classes, and forget them unless they keep their odds."""

from __future__ import annotations

from functools import cache, partial

from tests.schemes.regimes.federated.scene import SHORT_ROUNDS, federation, right, run
from tests.schemes.regimes.scene import mean_of

METHODS = ("fedntd",)


def test_what_is_known_of_other_classes_is_kept(seed_offset):
    @cache
    def averaged(seed: int) -> float:
        having = federation(seed)
        return right(run("fedavg", having, seed, **SHORT_ROUNDS), having.test)

    def gain(seed: int, beta: float) -> float:
        """Accuracy above FedAvg's."""
        having = federation(seed)
        return right(run("fedntd", having, seed, beta=beta, **SHORT_ROUNDS), having.test) - averaged(seed)

    def holds(beta: float) -> bool:
        return mean_of(partial(gain, beta=beta), 5, seed_offset) > 1

    assert holds(1.0)
    assert not holds(0.0)  # without its term it is FedAvg
