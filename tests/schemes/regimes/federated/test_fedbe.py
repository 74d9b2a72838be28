"""FedBE where its paper has it: one round, after which the mean of clients' weights is a poor model.

Clients, and models drawn around them, answer better together than the mean of their weights does.
"""

from __future__ import annotations

from functools import cache, partial

from tests.schemes.regimes.federated.scene import ONE_ROUND, federation, right, run
from tests.schemes.regimes.scene import mean_of

METHODS = ("fedbe",)


def test_an_ensemble_of_likely_models_mends_the_mean_of_weights(seed_offset):
    @cache
    def averaged(seed: int) -> float:
        having = federation(seed, alpha=0.5, rows=120)
        return right(run("fedavg", having, seed, **ONE_ROUND), having.test)

    def gain(seed: int, epochs: int) -> float:
        """Accuracy above FedAvg's."""
        having = federation(seed, alpha=0.5, rows=120)
        return right(run("fedbe", having, seed, **ONE_ROUND, distil_epochs=epochs), having.test) - averaged(seed)

    def holds(epochs: int) -> bool:
        return mean_of(partial(gain, epochs=epochs), 4, seed_offset) > 0.5

    assert holds(200)
    assert not holds(0)  # without the server's distillation it is FedAvg
