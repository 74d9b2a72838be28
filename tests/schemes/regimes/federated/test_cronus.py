"""Cronus where its paper has it: clients that lie in concert, which a mean follows and its estimator does not."""

from __future__ import annotations

from functools import partial
from statistics import fmean

import pytest
from torch import Tensor, nn

from tests.schemes.regimes.federated.scene import CLASSES, federation, run, student
from tests.schemes.regimes.scene import accuracy, mean_of

METHODS = ("cronus",)
CLIENTS, LIARS = 5, 2


class Liar(nn.Module):
    """A model that is much surer of what it says than honest ones are."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.inner = student(seed)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F) -> (N, C)."""
        return 30 * self.inner(x)


@pytest.mark.parametrize("estimator", ["filter", "trim"])
def test_honest_clients_survive_liars(estimator, seed_offset):
    def measured(seed: int, liars: int) -> float:
        """Mean accuracy of the honest, against two who know every row and say the next class of each."""
        having = federation(seed, alpha=10.0, clients=CLIENTS, rows=150)
        for who in range(LIARS):
            having.clients[who] = having.public.clone()
            having.clients[who].y = (having.public.y + 1) % CLASSES
        models = [Liar(seed) if who < LIARS else student(seed) for who in range(CLIENTS)]
        options = {"rounds": 1, "local_epochs": 12, "distil_epochs": 40, "liars": liars, "estimator": estimator}
        found = run("cronus", having, seed, students=models, **options)
        return fmean(accuracy(model, having.test, "train_mask") for model in found.models[LIARS:])

    def holds(liars: int) -> bool:
        return mean_of(partial(measured, liars=liars), 2, seed_offset) > 60

    assert holds(LIARS)
    assert not holds(0)  # the mean of all
