"""FedGKD where its paper has it: clients with rows of few classes, who forget what the global model knew of others."""

from __future__ import annotations

from functools import cache, partial

from tests.schemes.regimes.federated.scene import SHORT_ROUNDS, federation, right, run
from tests.schemes.regimes.scene import mean_of

METHODS = ("fedgkd",)


def test_clients_that_keep_to_past_global_models_drift_less(seed_offset):
    @cache
    def averaged(seed: int) -> float:
        having = federation(seed)
        return right(run("fedavg", having, seed, **SHORT_ROUNDS), having.test)

    def gain(seed: int, gamma: float) -> float:
        """Accuracy above FedAvg's."""
        having = federation(seed)
        return right(run("fedgkd", having, seed, gamma=gamma, **SHORT_ROUNDS), having.test) - averaged(seed)

    def holds(gamma: float) -> bool:
        return mean_of(partial(gain, gamma=gamma), 3, seed_offset) > 1

    assert holds(0.2)
    assert not holds(0.0)  # without its term it is FedAvg
