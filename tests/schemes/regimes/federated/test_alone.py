"""Clients alone, the control of the other regimes: each knows what it has rows of, which is little under label skew."""

from __future__ import annotations

from functools import partial

from tests.schemes.regimes.federated.scene import SHORT_ROUNDS, federation, right, run
from tests.schemes.regimes.scene import mean_of

METHODS = ("alone",)


def test_under_label_skew_clients_alone_know_some_classes(seed_offset):
    def measured(seed: int, alpha: float) -> float:
        having = federation(seed, alpha=alpha, rows=240)
        return right(run("alone", having, seed, **SHORT_ROUNDS), having.test)

    def holds(alpha: float) -> bool:
        return mean_of(partial(measured, alpha=alpha), 2, seed_offset) < 65

    assert holds(0.1)
    assert not holds(100.0)  # where all have rows of all classes, each knows them
