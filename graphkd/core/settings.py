"""Settings of modules: the plain public attributes of a module and its parts, such as temperatures and rates."""

from __future__ import annotations

from typing import Any

from torch import nn

from graphkd.core.wrappers import plain_parts

_MOST = 20  # most entries of a list that counts as a setting


def settings_of(module: nn.Module) -> dict[str, Any]:
    """Find the settings of a module and its parts: 'losses.0.temperature' -> 4.0; wrappers have none."""
    found = {}
    for path, part in plain_parts(module):
        for name, value in vars(part).items():
            if not name.startswith("_") and name != "training" and is_setting(value):
                found[f"{path}.{name}" if path else name] = list(value) if isinstance(value, tuple) else value
    return found


def is_setting(value: Any) -> bool:
    """Tell whether a value is plain: a number, text, or a few of such."""
    if isinstance(value, (list, tuple)):
        return len(value) <= _MOST and all(is_setting(entry) for entry in value)
    return value is None or isinstance(value, (bool, int, float, str))
