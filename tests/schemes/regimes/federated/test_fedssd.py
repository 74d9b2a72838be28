"""FedSSD and FedCAD where their papers have them: a global model that knows some classes, at first none.

Who keeps to all that it says keeps to what is wrong; labelled public rows say what it knows.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch

from graphkd.schemes.federated import class_credibility, fedssd
from tests.schemes.regimes.federated.scene import SHORT_ROUNDS, federation, right, run
from tests.schemes.regimes.scene import mean_of

METHODS = ("fedssd", "fedcad")


def blind(teacher, _, __, *, highest, threshold):
    """Trust all that the global model says."""
    return torch.full_like(teacher, highest)


@pytest.mark.parametrize("name", METHODS)
def test_a_global_model_is_trusted_as_far_as_it_is_right(name, seed_offset, monkeypatch):
    @cache
    def measured(seed: int, trust) -> float:
        having = federation(seed)
        monkeypatch.setattr(fedssd, "class_credibility", trust)
        return right(run(name, having, seed, **SHORT_ROUNDS), having.test)

    def holds(trust) -> bool:
        return mean_of(lambda seed: measured(seed, trust) - measured(seed, blind), 2, seed_offset) > 5

    assert holds(class_credibility)
    assert not holds(blind)
