"""FedDF where its paper has it: one round, after which clients' weights disagree and their answers do not.

The server has public rows without labels. The mean of the weights is then worse than the clients' mean answer.
"""

from __future__ import annotations

from functools import cache, partial

import pytest

from tests.schemes.regimes.federated.scene import ONE_ROUND, federation, right, run
from tests.schemes.regimes.scene import mean_of

METHODS = ("feddf", "feddf-probabilities")


@pytest.mark.parametrize("name", METHODS)
def test_the_clients_mean_answer_mends_the_mean_of_their_weights(name, seed_offset):
    @cache
    def averaged(seed: int) -> float:
        having = federation(seed, alpha=0.5, rows=120)
        return right(run("fedavg", having, seed, **ONE_ROUND), having.test)

    def gain(seed: int, epochs: int) -> float:
        """Accuracy above FedAvg's."""
        having = federation(seed, alpha=0.5, rows=120)
        return right(run(name, having, seed, **ONE_ROUND, distil_epochs=epochs), having.test) - averaged(seed)

    def holds(epochs: int) -> bool:
        return mean_of(partial(gain, epochs=epochs), 4, seed_offset) > 0.5

    assert holds(200)
    assert not holds(0)  # without the server's distillation it is FedAvg
