"""MHAT where its paper has it: clients of different architectures, and a server that can afford a model of its own."""

from __future__ import annotations

from functools import cache, partial

from torch import nn

from tests.schemes.regimes.federated.scene import Federation, federation, right, run, student
from tests.schemes.regimes.scene import mean_of

METHODS = ("mhat",)
OPTIONS = {"rounds": 2, "local_epochs": 15}


def test_the_server_s_model_learns_what_all_clients_know(seed_offset):
    def students(having: Federation, seed: int) -> list[nn.Module]:
        return [student(seed, hidden=16 + 8 * who) for who in range(len(having.clients))]

    @cache
    def alone(seed: int) -> float:
        having = federation(seed, alpha=0.3)
        return right(run("alone", having, seed, students=students(having, seed), **OPTIONS), having.test)

    def gain(seed: int, epochs: int) -> float:
        """Accuracy of the server's model above the mean of clients alone."""
        having = federation(seed, alpha=0.3)
        given = {"students": students(having, seed), "server": student(seed, 64), "distil_epochs": epochs}
        return right(run("mhat", having, seed, **given, **OPTIONS), having.test) - alone(seed)

    def holds(epochs: int) -> bool:
        return mean_of(partial(gain, epochs=epochs), 2, seed_offset) > 5

    assert holds(40)
    assert not holds(0)  # what nobody taught knows nothing
