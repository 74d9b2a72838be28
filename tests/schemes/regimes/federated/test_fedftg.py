"""FedFTG where its paper has it: skewed labels and no public rows, for which a generator makes some."""

from __future__ import annotations

from functools import cache, partial

from tests.schemes.regimes.federated.scene import SHORT_ROUNDS, federation, right, run
from tests.schemes.regimes.scene import mean_of

METHODS = ("fedftg",)


def test_made_rows_mend_the_mean_of_weights(seed_offset):
    @cache
    def averaged(seed: int) -> float:
        having = federation(seed)
        return right(run("fedavg", having, seed, **SHORT_ROUNDS), having.test)

    def gain(seed: int, steps: int) -> float:
        """Accuracy above FedAvg's."""
        having = federation(seed)
        return right(run("fedftg", having, seed, steps=steps, **SHORT_ROUNDS), having.test) - averaged(seed)

    def holds(steps: int) -> bool:
        return mean_of(partial(gain, steps=steps), 6, seed_offset) > 2

    assert holds(10)
    assert not holds(0)  # without turns of its game it is FedAvg
