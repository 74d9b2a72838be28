"""Cards: what a run was, in plain values, so that another can be told from it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import is_dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.clients import Clients
from graphkd.core.fingerprint import fingerprint, graph_fingerprint, model_fingerprint
from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen
from graphkd.core.view import names

Plain = bool | int | float | str | None


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version(), "torch": str(torch.__version__)}
    for package in ("graphkd", "torch_geometric"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def described(value: Any) -> Any:
    """A value in plain form: numbers and text as they are, modules, tensors and data by their fingerprint."""
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
    if names(value) is None and callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return described_data(value)


def _described_model(value: nn.Module | Frozen) -> Any:
    if isinstance(value, Loss):
        return [f"{weight:g} * {part!r}" for weight, part in value.parts()]
    if isinstance(value, nn.Module):
        return f"{type(value).__name__} {model_fingerprint(value)[:12]}"
    members = getattr(value, "members", None) or [value.model]
    return f"{type(value).__name__} of {', '.join(str(described(member)) for member in members)}"


def architecture(model: Any) -> str | None:
    """Class and number of parameters of a model, whatever its weights."""
    if not isinstance(model, nn.Module):
        return None
    return f"{type(model).__name__} of {sum(parameter.numel() for parameter in model.parameters())} parameters"


def described_data(data: Any) -> str:
    """What tells one graph or loader from another; the type alone where its entries cannot be read without a pass."""
    try:
        digest = fingerprint(data) if is_dataclass(data) else graph_fingerprint(data, None)
        return f"{type(data).__name__} {digest[:12]}"
    except (TypeError, ValueError):
        found = sorted(names(data) or ())
        return f"{type(data).__name__} {found}" if found else type(data).__name__


def difference(known: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Where two cards differ, in words."""
    both = dict.fromkeys((*known, *now))
    return [f"{name} was {known.get(name)}, is {now.get(name)}" for name in both if known.get(name) != now.get(name)]


def is_plain(value: Any) -> bool:
    """Whether a checkpoint can hold a value and give it back as it was."""
    if isinstance(value, Mapping):
        return type(value) is dict and all(is_plain(entry) for entry in (*value, *value.values()))
    if isinstance(value, (list, tuple)):
        return type(value) in (list, tuple) and all(is_plain(entry) for entry in value)
    return value is None or type(value) in (bool, int, float, str) or isinstance(value, Tensor)
