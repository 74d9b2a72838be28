"""FedMD where its paper has it: clients of different architectures, who share answers and nothing else."""

from __future__ import annotations

from functools import cache, partial

import pytest
from torch import nn

from tests.schemes.regimes.federated.scene import Federation, federation, right, run, student
from tests.schemes.regimes.scene import mean_of

METHODS = ("fedmd", "fedmd-probabilities")


@pytest.mark.parametrize("name", METHODS)
def test_models_that_differ_learn_from_each_other_s_answers(name, seed_offset):
    def students(having: Federation, seed: int) -> list[nn.Module]:
        return [student(seed, hidden=16 + 8 * who) for who in range(len(having.clients))]

    @cache
    def alone(seed: int) -> float:
        """Of as many epochs on own rows: those of the round, and of what clients revisit."""
        having = federation(seed, alpha=0.3)
        return right(
            run("alone", having, seed, students=students(having, seed), rounds=2, local_epochs=20), having.test
        )

    def gain(seed: int, epochs: int) -> float:
        having = federation(seed, alpha=0.3)
        options = {"rounds": 1, "local_epochs": 20, "distil_epochs": epochs}
        return right(run(name, having, seed, students=students(having, seed), **options), having.test) - alone(seed)

    def holds(epochs: int) -> bool:
        return mean_of(partial(gain, epochs=epochs), 8, seed_offset) > 0.3

    assert holds(80)
    assert not holds(0)  # nothing is digested
