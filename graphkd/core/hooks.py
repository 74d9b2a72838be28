"""State of optimiser hooks, such as schedules, which is saved so that a run can resume."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from graphkd.core.by_name import Batch, node_types


def has_state(value: Any) -> bool:
    """Tell whether an object has both ``state_dict`` and ``load_state_dict``."""
    if isinstance(value, Batch) and node_types(value):  # answers to any name that ends in _dict
        return False
    return callable(getattr(value, "state_dict", None)) and callable(getattr(value, "load_state_dict", None))


def hook_states(optimizer: torch.optim.Optimizer) -> list[Any]:
    """Return the states of the objects that an optimiser's step hooks are, are bound to, or close over."""
    return [held.state_dict() for hook in _hooks(optimizer) for held in _held(hook)]


def set_hook_states(optimizer: torch.optim.Optimizer, states: Sequence[Any]) -> None:
    """Restore the hooks' states from ``hook_states``."""
    for held, state in zip((held for hook in _hooks(optimizer) for held in _held(hook)), states, strict=False):
        held.load_state_dict(state)


def warn_of_hooks(optimizer: torch.optim.Optimizer) -> None:
    """Warn where the hooks of an optimiser have no state that can be saved: they start afresh when a run is resumed."""
    lost = [getattr(hook, "__qualname__", type(hook).__name__) for hook in _hooks(optimizer) if not list(_held(hook))]
    if lost:
        warnings.warn(
            f"what the optimiser's hooks {lost} count is in no checkpoint, they begin anew when the run is resumed: "
            "give a schedule as 'scheduler', or a hook with 'state_dict' and 'load_state_dict'",
            stacklevel=2,
        )


def _hooks(optimizer: torch.optim.Optimizer) -> list[Callable[..., Any]]:
    found = (getattr(optimizer, f"_optimizer_step_{place}_hooks", {}) for place in ("pre", "post"))
    return [hook for hooks in found for hook in hooks.values()]


def _held(hook: Callable[..., Any]) -> Iterator[Any]:
    """Yield the objects in a hook that have a state, except models and optimisers, which are saved elsewhere."""
    plain = inspect.unwrap(hook)
    cells = getattr(plain, "__closure__", None) or ()
    defaults = getattr(plain, "__defaults__", None) or ()
    bound = [getattr(hook, "args", ()), tuple(getattr(hook, "keywords", {}).values())]  # of a partial
    candidates = [hook, getattr(hook, "__self__", None), *defaults, *bound[0], *bound[1]]
    for cell in cells:
        try:
            candidates.append(cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    for each in candidates:
        if has_state(each) and not isinstance(each, (type, nn.Module, torch.optim.Optimizer)):
            yield each
