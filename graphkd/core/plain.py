"""Plain values, which a checkpoint can save and restore unchanged; any other value in a state raises."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_LEAVES = (type(None), bool, int, float, complex, str, bytes, bytearray, torch.Size, torch.dtype, torch.device)
_TENSORS = (Tensor, nn.Parameter, nn.Buffer)
_DEEPEST = 100  # levels of nested containers; a deeper value contains itself, or is a mistake


def plain(value: Any) -> Any:
    """Replace numpy's numbers in a value by Python's; return the very same objects where there are none.

    Raises ValueError that names the entry, such as 'optimizer.param_groups[0].lr', for a value other than a tensor, a
    number, text, or a dict, list, tuple or set of these.
    """
    return _plain(value, "", 0)


def _plain(value: Any, path: str, depth: int) -> Any:
    kind = type(value)
    if kind in _LEAVES or (isinstance(value, Tensor) and kind in _TENSORS):
        return value
    if isinstance(value, np.generic) and isinstance(number := value.item(), (bool, int, float, complex, str, bytes)):
        return number
    if depth == _DEEPEST:
        raise ValueError(f"{_named(path):.80}... must be nested in at most {_DEEPEST} containers: is it in itself?")
    if kind in (dict, OrderedDict, Counter):
        return _plain_mapping(value, path, depth)
    if kind in (list, tuple, set):
        found = [_plain(entry, f"{path}[{place}]", depth + 1) for place, entry in enumerate(value)]
        return value if all(one is other for one, other in zip(found, value, strict=True)) else kind(found)
    raise ValueError(
        f"{_named(path)} must be a tensor, a number, text, or a dict, list, tuple or set of such to be saved, got "
        f"{kind.__module__}.{kind.__qualname__}: {_advice(value)}"
    )


def _plain_mapping(value: dict[Any, Any], path: str, depth: int) -> Any:
    found = type(value)()
    same = True
    for key, entry in value.items():
        inside = f"{path}.{key}" if type(key) is str else f"{path}[{key!r}]"
        name, kept = _plain(key, f"key of {inside}", depth + 1), _plain(entry, inside, depth + 1)
        same = same and name is key and kept is entry
        found[name] = kept
    if same:
        return value
    if hasattr(value, "_metadata"):  # versions of the modules of a state_dict
        found._metadata = value._metadata  # type: ignore[attr-defined]
    return found


def _named(path: str) -> str:
    return repr(path.lstrip(".")) if path else "what is saved"


def _advice(value: Any) -> str:
    if nn.parameter.is_lazy(value):
        return "it has no shape yet: run the model once, which has lazy layers"
    if isinstance(value, Tensor):
        return "save value.as_subclass(torch.Tensor)"
    if isinstance(value, np.ndarray):
        return "torch.from_numpy(array) can be saved, and array = tensor.numpy() is made of what is loaded"
    if callable(value):
        return "save what it is made from, such as its name"
    if isinstance(value, Mapping):
        return "save dict(value)"
    return "save what it is made from, such as value.name of an enum or dataclasses.asdict(value)"
