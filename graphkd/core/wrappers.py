"""States under a plain model's names, whatever it is wrapped in: ``torch.compile``, ``DataParallel``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the plain model inside its wrappers."""
    while (inner := _inner(model)) is not None:
        model = model._modules[inner]  # type: ignore[assignment]
    return model


def plain_state(module: nn.Module) -> dict[str, Any]:
    """Return the ``state_dict`` with the names that it has where no part is wrapped."""
    state = module.state_dict()
    prefixes = _prefixes(module)
    if not prefixes:
        return state
    return {_plain_name(name, prefixes): value for name, value in state.items()}


def load_plain_state(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Load the state that ``plain_state`` gave, of this module or of one that is wrapped otherwise."""
    prefixes = _prefixes(module)
    if prefixes:
        state = {_wrapped_name(name, prefixes): value for name, value in state.items()}
    module.load_state_dict(state)


def plain_parts(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """List ``named_modules`` with the names that they have where none is wrapped, and without the wrappers."""
    prefixes = _prefixes(module)
    for path, part in module.named_modules():
        if _inner(part) is None:
            yield _plain_name(f"{path}.", prefixes)[:-1] if path else path, part


def _plain_name(name: str, prefixes: list[tuple[str, str]]) -> str:
    for outer, inner in reversed(prefixes):
        if name.startswith(outer + inner):
            name = outer + name[len(outer + inner) :]
    return name


def _wrapped_name(name: str, prefixes: list[tuple[str, str]]) -> str:
    for outer, inner in prefixes:
        if name.startswith(outer):
            name = outer + inner + name[len(outer) :]
    return name


def _prefixes(module: nn.Module) -> list[tuple[str, str]]:
    """List the wrappers among a module's parts, from the outside in, and the prefixes that they add to names."""
    found = ((f"{path}." if path else "", _inner(part)) for path, part in module.named_modules(remove_duplicate=False))
    return [(path, f"{inner}.") for path, inner in found if inner is not None]


def _inner(module: nn.Module) -> str | None:
    """Return the name under which a wrapper holds the wrapped module."""
    if "_orig_mod" in module._modules:
        return "_orig_mod"
    return "module" if isinstance(module, (DataParallel, DistributedDataParallel)) else None
