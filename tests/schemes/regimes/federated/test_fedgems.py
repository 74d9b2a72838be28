"""FedGEMS where its paper has it: few labelled public rows, a larger model of the server's, and clients that are wrong.

Half of the clients have other labels than they should: the mean of all answers teaches these too, the selected do not.
"""

from __future__ import annotations

from functools import cache

from graphkd.schemes.federated import fedgems, selective_fusion
from graphkd.schemes.teachers._combine import soft_target
from tests.schemes.regimes.federated.scene import CLASSES, federation, right, run, student
from tests.schemes.regimes.scene import mean_of

METHODS = ("fedgems",)


def mean(_, teachers, __):
    """All clients' mean answer."""
    return soft_target(teachers)


def test_the_server_learns_from_those_that_are_right(seed_offset, monkeypatch):
    @cache
    def measured(seed: int, fusion) -> float:
        having = federation(seed, alpha=10.0, public=60)
        for data in having.clients[1::2]:
            data.y = (data.y + 1) % CLASSES
        monkeypatch.setattr(fedgems, "selective_fusion", fusion)
        options = {"rounds": 2, "local_epochs": 15, "distil_epochs": 40}
        return right(run("fedgems", having, seed, server=student(seed, 64), **options), having.test)

    def holds(fusion) -> bool:
        return mean_of(lambda seed: measured(seed, fusion) - measured(seed, mean), 2, seed_offset) > 1

    assert holds(selective_fusion)
    assert not holds(mean)
