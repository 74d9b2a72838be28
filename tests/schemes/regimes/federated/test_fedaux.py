"""FedAUX where its paper has it: each client knows about another part of the public rows, and is certain of that."""

from __future__ import annotations

from functools import cache, partial

import torch

from tests.schemes.regimes.federated.scene import federation, right, run
from tests.schemes.regimes.scene import mean_of

METHODS = ("fedaux",)


def test_who_knows_rows_of_a_kind_counts_for_them(seed_offset):
    adam = partial(torch.optim.Adam, lr=0.01)
    options = {"rounds": 1, "local_epochs": 30, "distil_epochs": 60, "optimizer": adam}

    @cache
    def measured(seed: int, name: str) -> float:
        having = federation(seed)
        return right(run(name, having, seed, **options), having.test)

    def holds(name: str) -> bool:
        return mean_of(lambda seed: measured(seed, name) - measured(seed, "feddf"), 3, seed_offset) > 2

    assert holds("fedaux")
    assert not holds("feddf")  # which is the same where all count alike
