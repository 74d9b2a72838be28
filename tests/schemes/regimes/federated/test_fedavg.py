"""FedAvg where its paper has it: clients of one architecture with rows of some classes each, and several rounds."""

from __future__ import annotations

from functools import cache

from tests.schemes.regimes.federated.scene import SHORT_ROUNDS, federation, right, run
from tests.schemes.regimes.scene import mean_of

METHODS = ("fedavg",)


def test_the_mean_of_weights_knows_what_all_clients_know(seed_offset):
    @cache
    def measured(seed: int, name: str) -> float:
        having = federation(seed)
        return right(run(name, having, seed, **SHORT_ROUNDS), having.test)

    def holds(name: str) -> bool:
        return mean_of(lambda seed: measured(seed, name) - measured(seed, "alone"), 2, seed_offset) > 15

    assert holds("fedavg")
    assert not holds("alone")  # the same training, nothing averaged
