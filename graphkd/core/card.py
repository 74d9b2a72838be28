"""Cards: descriptions of runs in plain values, which tell one run from another."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.clients import Clients
from graphkd.core.fingerprint import fingerprint, graph_fingerprint, model_fingerprint
from graphkd.core.loss import Loss
from graphkd.core.rng import seeded
from graphkd.core.settings import is_setting, settings_of
from graphkd.core.teachers import Frozen
from graphkd.core.view import names
from graphkd.core.wrappers import unwrapped

Plain = bool | int | float | str | None


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version(), "torch": str(torch.__version__)}
    for package in ("graphkd", "torch_geometric"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def described(value: Any) -> Any:
    """Describe a value in plain form: numbers and text as they are, modules, tensors and data by their fingerprint."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (nn.Module, Frozen)):
        return _described_model(value)
    if isinstance(value, Tensor):
        return f"tensor {tuple(value.shape)} {fingerprint(value)[:12]}"
    if isinstance(value, (list, tuple)):
        return [described(entry) for entry in value]
    if isinstance(value, Clients):
        return {"clients": described(value.data), "students": [architecture(model) for model in value.students or ()]}
    if isinstance(value, partial):
        return f"{described(value.func)} of {described([*value.args, *value.keywords.items()])}"
    if names(value) is None and callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return described_data(value)


def _described_model(value: nn.Module | Frozen) -> Any:
    if isinstance(value, Loss):
        return [f"{weight:g} * {type(part).__name__} of {settings_of(part)}" for weight, part in value.parts()]
    if isinstance(value, nn.Module):
        plain = unwrapped(value)
        return f"{type(plain).__name__} {model_fingerprint(plain)[:12]}"
    members = getattr(value, "members", None) or [value.model]
    return f"{type(value).__name__} of {', '.join(str(described(member)) for member in members)}"


def architecture(model: Any) -> str | None:
    """Describe a model by its class and number of parameters, whatever its weights."""
    if not isinstance(model, nn.Module):
        return None
    number = sum(parameter.numel() for parameter in model.parameters() if not nn.parameter.is_lazy(parameter))
    return f"{type(unwrapped(model)).__name__} of {number} parameters"


def described_data(data: Any) -> str:
    """Describe a graph or loader by type and fingerprint, or by type and names where it has no fingerprint."""
    try:
        digest = fingerprint(data) if is_dataclass(data) else graph_fingerprint(data, None)
        return f"{type(data).__name__} {digest[:12]}"
    except (TypeError, ValueError):
        found = sorted(names(data) or ())
        return f"{type(data).__name__} {found}" if found else type(data).__name__


def glimpse(data: Any) -> str:
    """Describe data without a pass over a loader: a batch by its entries, a loader by its length and sizes.

    A few of a loader's items are fingerprinted too; reading them leaves the random generators unchanged.
    """
    if names(data) is not None:
        return described_data(data)
    found: list[Any] = []
    inside = [partial(_inside, name) for name in ("cluster_data", "dataset", "data", "interactions")]
    looks: list[Callable[[Any], Any]] = [_sizes, len, _few, *inside]
    for look in looks:
        try:
            with seeded(0):
                found.append(look(data))
        except Exception:  # noqa: S112 - whatever the data of others raise
            continue
    return f"{type(data).__name__} {fingerprint(found)[:12]}"


def _sizes(data: Any) -> dict[str, Any]:
    about = {name: getattr(data, name, None) for name in ("batch_size", "drop_last")}
    return {name: value for name, value in about.items() if is_setting(value)}


def _inside(name: str, data: Any) -> list[Any]:
    """Return length and items of a loader's attribute."""
    source = getattr(data, name)
    return [len(source), _few(source)]


def _few(source: Any) -> str:
    """Return the fingerprint of the first, the middle and the last item of a data set, or of all of a graph."""
    if names(source) is not None or is_dataclass(source):
        return described_data(source)
    places = sorted({0, len(source) // 2, len(source) - 1})
    return fingerprint([dict(item) if names(item := source[place]) is not None else item for place in places])


def difference(known: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List the differences between two cards in words, mappings in them entry by entry."""
    known, now = _flat(known), _flat(now)
    both = dict.fromkeys((*known, *now))
    return [
        f"{name} was {known.get(name)!s:.200}, is {now.get(name)!s:.200}"
        for name in both
        if known.get(name) != now.get(name)
    ]


def _flat(card: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in card.items():
        found |= (
            {f"{name}.{inner}": entry for inner, entry in value.items()} if isinstance(value, dict) else {name: value}
        )
    return found
