"""No loss without a behavioural case."""

from __future__ import annotations

import importlib
import pkgutil

import graphkd
import tests
from graphkd import Loss
from graphkd.losses import Sum
from tests.losses.behaviour import Behaviour, subclasses


def load(package, prefix=""):
    """Import the modules of a package, so that the classes in them are known."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name.startswith(prefix):
            importlib.import_module(module.name)


def test_every_loss_has_a_case():
    """An entry of a ``Behaviour`` makes each public loss of the package."""
    load(graphkd)
    load(tests, "tests.losses.test_")
    covered = {type(case.make()) for kind in subclasses(Behaviour) for case in kind.cases.values()}
    losses = {kind for kind in subclasses(Loss) if kind.__module__.startswith("graphkd.")} - {Sum}
    assert len(losses) >= 10
    assert sorted(kind.__name__ for kind in losses - covered) == []
