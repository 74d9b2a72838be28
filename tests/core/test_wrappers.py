"""Names of states are those of the plain model, however deep it is wrapped."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from graphkd.core.settings import settings_of
from graphkd.core.wrappers import load_plain_state, plain_parts, plain_state, unwrapped

compiled = partial(torch.compile, backend="eager")


class Held(nn.Module):
    """Two models, each of which may be wrapped."""

    def __init__(self, wrap) -> None:
        super().__init__()
        self.first, self.rest = wrap(nn.Linear(2, 3)), nn.ModuleList([wrap(nn.Dropout(0.25)), nn.Linear(3, 1)])


WRAPS = (compiled, nn.DataParallel, lambda model: nn.DataParallel(compiled(model)), lambda model: model)


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("other", WRAPS)
def test_a_state_goes_from_any_wrapping_to_any(wrap, other):
    one, two, plain = Held(wrap), Held(other), Held(lambda model: model)
    state = plain_state(one)
    assert list(state) == list(plain.state_dict())
    load_plain_state(two, state)
    assert all(torch.equal(value, plain_state(two)[name]) for name, value in state.items())
    assert [name for name, _ in plain_parts(one)] == [name for name, _ in plain.named_modules()]
    assert settings_of(one) == settings_of(plain)
    assert settings_of(one)["rest.0.p"] == 0.25
    assert type(unwrapped(one.first)) is nn.Linear


def test_a_module_that_is_called_module_is_no_wrapper():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(1, 1)

    assert list(plain_state(Own())) == ["module.weight", "module.bias"]
    assert isinstance(unwrapped(own := Own()), Own)
    assert unwrapped(own) is own
