from __future__ import annotations

import pytest
from torch import nn

from graphkd.core.modes import evaluating


class Stubborn(nn.Dropout):
    """A layer that stays in training mode, as Monte Carlo dropout does."""

    def train(self, mode: bool = True):
        return super().train(True)


def modes(model):
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("trained", [(), (0,), (1, 2), (0, 1, 2, 3)])
def test_all_modules_are_in_eval_mode_for_a_while(trained):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout()).eval()
    for place, module in enumerate(model.modules()):
        module.training = place in trained
    before = modes(model)
    with evaluating(model):
        assert not any(modes(model))
    assert modes(model) == before
    with pytest.raises(RuntimeError, match="stopped"), evaluating(model):
        raise RuntimeError("stopped")
    assert modes(model) == before


def test_a_layer_may_have_a_mode_of_its_own():
    model = nn.Sequential(nn.Linear(2, 2), Stubborn())
    with evaluating(model):
        assert modes(model) == [False, False, True]
    assert modes(model) == [True, True, True]
