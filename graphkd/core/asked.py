"""Settings of a training in plain values, by which a resumed run reports how it differs from the saved one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from graphkd.core.card import described, glimpse
from graphkd.core.settings import settings_of
from graphkd.core.teachers import Frozen
from graphkd.core.wrappers import unwrapped

Asked = dict[str, Any]
Groups = list[dict[str, Any]]  # of an optimiser, without the parameters


def asked_of(trainable: nn.Module, data: Any, optimizer: torch.optim.Optimizer, groups: Groups) -> Asked:
    """Describe what is trained, on what and how: names to plain values. groups: before any scheduler changed them."""
    found: Asked = {"trainable": type(unwrapped(trainable)).__name__, "optimizer": type(optimizer).__name__}
    for place, group in enumerate(groups):
        found |= {_group_name(name, place): _shown(value) for name, value in group.items()}
    found |= {"data": glimpse(data), "teachers": [described(each) for each in _teachers(trainable)]}
    return found | settings_of(trainable)


def groups_of(optimizer: torch.optim.Optimizer) -> Groups:
    """Return the settings of an optimiser's groups: learning rates, decays and so on."""
    return [
        {name: _copied(value) for name, value in group.items() if name != "params"} for group in optimizer.param_groups
    ]


def schedule_of(scheduler: Any) -> Asked:
    """Describe a scheduler that has not taken a step."""
    if scheduler is None:
        return {"scheduler": None}
    state = {name: value for name, value in scheduler.state_dict().items() if name not in ("base_lrs", "_last_lr")}
    return {
        "scheduler": type(scheduler).__name__,
        **{f"scheduler.{name}": _shown(each) for name, each in state.items()},
    }


def set_groups(optimizer: torch.optim.Optimizer, groups: Groups, known: Asked) -> None:
    """Update those settings of an optimiser's groups whose requested values have changed."""
    for place, (group, asked) in enumerate(zip(optimizer.param_groups, groups, strict=True)):
        for name, value in asked.items():
            if known.get(_group_name(name, place)) != _shown(value):
                group[name] = _copied(value)
                if name == "lr" and "initial_lr" in group:  # a schedule of the user's own continues from there
                    group["initial_lr"] = _copied(value)


def _group_name(name: str, place: int) -> str:
    return f"optimizer.{name}" if place == 0 else f"optimizer.groups[{place}].{name}"


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value  # a rate may be a tensor, which schedulers fill


def _shown(value: Any) -> Any:
    """Return a number or text unchanged, and a description of any other value."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        return value.item()
    return described(value)


def _teachers(trainable: nn.Module) -> Iterator[Any]:
    """List the teachers of a trainable; those that follow the student by the name of their class."""
    for module in trainable.modules():
        for each in getattr(module, "_held", ()):
            if isinstance(each, Frozen):
                yield each if each.kept() is None else type(each).__name__
